"""What of one study another one replicates: gates, and the criteria of the config's rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from persona_geometry.comparison.config import Criterion
from persona_geometry.comparison.matching import Strata, counterpart
from persona_geometry.comparison.pair import of_layer
from persona_geometry.comparison.reference import Reference
from persona_geometry.comparison.repeats import difference, difference_intervals
from persona_geometry.comparison.studies import Measured, Study
from persona_geometry.comparison.verdict import UNTOLD, judge, verdict
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.jackknife import Jackknife, intervals

FLAT = "A geometry does not vary."


def gates_table(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Every gate of any study, with its value and outcome in each that has it."""
    found: dict[tuple[str, str, float, str], dict[str, Any]] = {}
    for study in studies:
        for key, gate in gates_of(study).items():
            found.setdefault(key, {})[study.name] = {
                name: gate[name] for name in ("layer", "value", "status")
            }
    return [
        {"statistic": s, "comparison": c, "threshold": t, "at": at, "studies": of}
        for (s, c, t, at), of in found.items()
    ]


def gates_of(study: Study) -> dict[tuple[str, str, float, str], dict[str, Any]]:
    """A study's gates by what they ask, and whether they ask it at the headline layer."""
    gates = study.gates if isinstance(study, Reference) else study.alignment["gates"]
    return {
        (
            gate["statistic"],
            gate["comparison"],
            float(gate["threshold"]),
            "headline" if gate["layer"] == study.headline_layer else f"layer {gate['layer']}",
        ): gate
        for gate in gates
    }


def replication(
    rule: Sequence[Criterion],
    original: Study,
    study: Measured,
    pair: Mapping[str, Any],
    cuts: tuple[Geometries, Geometries] | None,
) -> dict[str, Any]:
    """Whether a study replicates the original.

    Args:
        rule: the config's criteria.
        original, study: both studies.
        pair: what is compared between them (`Pair.describe`).
        cuts: their geometries of the shared personas, in the same order; None where they share too
            few, or the original is a published table.

    Returns:
        `original`, `replication`, `held_out`, `same_measurements`, `verdict`, `reason` in words,
        and `criteria`, each as `judge` gives it.
    """
    judged = [_judged(one, original, study, pair, cuts) for one in rule]
    outcome, reason = verdict(judged)
    if pair["same_measurements"]:
        outcome, reason = UNTOLD, "Both hold the same measurements: they are one study twice."
    return {
        "original": original.name,
        "replication": study.name,
        "held_out": pair["kind"]["held_out"],
        "same_measurements": pair["same_measurements"],
        "verdict": outcome,
        "reason": reason,
        "criteria": judged,
    }


def _judged(
    one: Criterion,
    original: Study,
    study: Measured,
    pair: Mapping[str, Any],
    cuts: tuple[Geometries, Geometries] | None,
) -> dict[str, Any]:
    if one.criterion == "gates":
        return judge(one, *_same_gates(original, study))
    if one.criterion in ("agreement", "rise"):
        rise = one.criterion == "rise"
        return judge(one, *_agreement(original, study, cuts[1] if cuts else None, rise))
    row: Mapping[str, Any] = next(
        (r for r in pair["layers"] if r["layers"][0] == original.headline_layer), {}
    )
    found = {
        "behavior": pair["divergence"],
        "difference": row.get("difference"),
        "hidden_states": row.get("cosine"),
        "decoupling": row.get("decoupling"),
    }[one.criterion]
    if not found:
        return judge(one, None, None, pair["reason"] or row.get("reason"))
    value = found["value" if one.criterion == "difference" else "spearman"]
    if value is None or not np.isfinite(value):
        return judge(one, None, None, found.get("reason") or FLAT)
    interval = found["interval"] if one.criterion == "decoupling" else widest(found)
    return judge(one, value, interval, None)


def _agreement(
    original: Study, study: Measured, cut: Geometries | None, rise: bool
) -> tuple[float | None, dict[str, Any] | None, str | None]:
    """ρ at the depth of the original's headline layer, or its rise from there to the deepest one.

    Returns:
        The value, its interval, and the reason why there is none.
    """
    wanted = [original.headline_layer, *([max(original.layers)] if rise else [])]
    layers = []
    for layer in wanted:
        found, reason = counterpart(layer, original, study)
        if found is None:
            return None, None, reason
        layers.append(found)
    if len(set(layers)) < len(layers):
        return None, None, "The headline layer is the deepest one."
    at = [of_layer(cut or study.geometries, layer) for layer in layers]
    if not all(np.isfinite(of.rho) for of in at):
        return None, None, FLAT
    if not rise:
        return at[0].rho, widest(intervals(at[0])), None
    change = difference(at[1], at[0], _own_prompts(at))
    return change.value, widest(difference_intervals(change)), None


def _own_prompts(layers: Sequence[Jackknife]) -> Strata | str:
    """The prompts of one study, left out of all its layers at once; or why none is."""
    if not all("prompts" in of.without for of in layers):
        return "Vectors of single prompts are not kept for both layers."
    return [[(k, k) for k in range(len(layers[0].without["prompts"]))]]


def _same_gates(original: Study, study: Study) -> tuple[float | None, None, str | None]:
    mine, theirs = gates_of(original), gates_of(study)
    both = [
        (gate["status"], theirs[key]["status"])
        for key, gate in mine.items()
        if key in theirs and "not_evaluated" not in (gate["status"], theirs[key]["status"])
    ]
    if not both:
        return None, None, "They have no evaluated gate in common."
    return sum(a == b for a, b in both) / len(both), None, None
