"""Numbers of several studies in one table, and published ones beside measured ones."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from persona_geometry.comparison.matching import counterpart, depth
from persona_geometry.comparison.reference import Reference
from persona_geometry.comparison.studies import Measured, Study


def results_table(studies: Mapping[str, Study]) -> pd.DataFrame:
    """Every number of every study: one row a study, layer and statistic.

    Returns:
        `study`, `layer`, `depth`, `statistic` (a name of docs/statistics.md) and `value`; of layers
        that are not configured, what is computed at all.
    """
    rows = []
    for name, study in studies.items():
        for layer, values in statistics_of(study).items():
            at = {"study": name, "layer": layer, "depth": depth(layer, study.n_layers)}
            rows += [{**at, "statistic": key, "value": value} for key, value in values.items()]
    return pd.DataFrame(rows, columns=["study", "layer", "depth", "statistic", "value"])


def names_of(studies: Mapping[str, Study]) -> list[str]:
    """The measured ones."""
    return [name for name, study in studies.items() if isinstance(study, Measured)]


def statistics_of(study: Study) -> dict[int, dict[str, float]]:
    """Layer to statistic to value, as far as there is one."""
    if isinstance(study, Reference):
        return study.statistics
    found = {
        int(layer): {k: v for k, v in values.items() if v is not None}
        for layer, values in study.alignment["layer_curve"].items()
    }
    for layer, row in study.results.statistics.iterrows():
        found[int(str(layer))] = {**found[int(str(layer))], **row.dropna().to_dict()}
    return found


def against(studies: Mapping[str, Study], table: Reference) -> dict[str, Any]:
    """Published against measured: every published number beside those of the studies.

    Returns:
        `rows` of `layer`, `depth`, `statistic`, `published` (None where only a bound is given, in
        the words of `said`) and `measured`, by study; and `top_pairs`, each `in_top` or not.
    """
    others = names_of(studies)
    known = {other: statistics_of(studies[other]) for other in others}
    given: list[tuple[int, str, float | None, str | None]] = []
    for layer, values in table.statistics.items():
        given += [(layer, name, value, None) for name, value in values.items()]
        given += [(layer, name, None, said) for name, said in table.bounds.get(layer, {}).items()]
    rows = [
        {
            "layer": layer,
            "depth": depth(layer, table.n_layers),
            "statistic": name,
            "published": value,
            "said": said,
            "measured": {
                other: _measured(studies[other], known[other], table, layer, name)
                for other in others
            },
        }
        for layer, name, value, said in given
    ]
    pairs = [
        {
            "layer": layer,
            **pair,
            "in_top": {other: _in_top(studies[other], table, layer, pair) for other in others},
        }
        for layer, given in table.top_pairs.items()
        for pair in given
    ]
    return {"study": table.name, "source": table.source, "rows": rows, "top_pairs": pairs}


def _measured(
    study: Study,
    known: Mapping[int, Mapping[str, float]],
    table: Reference,
    layer: int,
    statistic: str,
) -> dict[str, Any]:
    """A statistic at the counterpart of a published layer; `known` are all of the study."""
    found, reason = counterpart(layer, table, study)
    value = None if found is None else known[found].get(statistic)
    if found is not None and value is None:
        reason = (
            f"{study.name} has no {statistic} at layer {found}."
            if found in study.layers
            else f"Layer {found} is not among the configured ones of {study.name}."
        )
    return {"layer": found, "value": value, "reason": reason}


def _in_top(
    study: Study, table: Reference, layer: int, pair: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The counterpart layer, and whether a published pair is among the top pairs there too."""
    found, _ = counterpart(layer, table, study)
    if not isinstance(study, Measured) or found not in study.layers:
        return None
    if not set(pair["pair"]) <= set(study.personas):
        return None
    top = study.alignment["layers"][str(found)]["top_residual_pairs"]
    return {"layer": found, "found": set(pair["pair"]) in [set(row["pair"]) for row in top]}
