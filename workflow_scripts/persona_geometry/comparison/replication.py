"""What of one study another one replicates: gates, and the criteria of the config's rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from persona_geometry.comparison.config import Comparison, Criterion
from persona_geometry.comparison.matching import Strata, counterpart
from persona_geometry.comparison.pair import TABLE_ONLY, of_layer
from persona_geometry.comparison.reference import Reference
from persona_geometry.comparison.repeats import difference, difference_intervals, widest
from persona_geometry.comparison.studies import Study
from persona_geometry.comparison.verdict import UNTOLD, judge, verdict
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import no_interval
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
    settings: Comparison,
    studies: Mapping[str, Study],
    name: str,
    pair: Mapping[str, Any],
    cuts: tuple[Geometries, Geometries] | None,
) -> dict[str, Any]:
    """Whether a study replicates the original, by the config's rule."""
    original, study = studies[settings.original], studies[name]
    judged = [_judged(one, original, study, pair, cuts) for one in settings.criteria]
    outcome, reason = verdict(judged)
    if pair["same_measurements"]:
        outcome, reason = UNTOLD, "Both hold the same measurements: they are one study twice."
    return {
        "original": original.name,
        "replication": name,
        "held_out": pair["kind"]["held_out"],
        "verdict": outcome,
        "reason": reason,
        "criteria": judged,
    }


def _judged(
    one: Criterion,
    original: Study,
    study: Study,
    pair: Mapping[str, Any],
    cuts: tuple[Geometries, Geometries] | None,
) -> dict[str, Any]:
    headline, reason = counterpart(original.headline_layer, original, study)
    row = next((r for r in pair["layers"] if r["layers"][0] == original.headline_layer), None)
    match one.criterion:
        case "agreement" | "rise":
            deepest, why = counterpart(max(original.layers), original, study)
            layers = [headline] if one.criterion == "agreement" else [headline, deepest]
            if headline is None or (deepest is None and one.criterion == "rise"):
                return judge(one, None, None, reason or why)
            if len(layers) == 2 and headline == deepest:
                return judge(one, None, None, "The headline layer is the deepest one.")
            return judge(one, *_agreement(study, [k for k in layers if k is not None], cuts))
        case "gates":
            return judge(one, *_same_gates(original, study))
        case "behavior":
            found = pair["divergence"]
        case "difference":
            found = (
                row
                and row["difference"]
                and {**row["difference"], "spearman": row["difference"]["value"]}
            )
        case "hidden_states":
            found = row and row["cosine"]
        case _:
            found = row and row["decoupling"]
            if found and found["interval"]:
                return judge(one, found["spearman"], found["interval"], None)
            reason = (found and found["reason"]) or reason
            return judge(one, None, None, pair["reason"] or reason)
    if not found or not np.isfinite(found["spearman"]):
        return judge(one, None, None, pair["reason"] or reason or FLAT)
    return judge(one, found["spearman"], widest(found), None)


def _agreement(
    study: Study, layers: Sequence[int], cuts: tuple[Geometries, Geometries] | None
) -> tuple[float | None, dict[str, Any] | None, str | None]:
    """ρ at a layer, or the rise to a second one, with its interval."""
    if isinstance(study, Reference):
        rho = [study.curve()[layer] for layer in layers]
        return (
            rho[-1] - (rho[0] if len(rho) > 1 else 0.0),
            no_interval(TABLE_ONLY.format(study.name)),
            None,
        )
    cut = cuts[1] if cuts else study.geometries
    found = [of_layer(cut, layer) for layer in layers]
    if not all(np.isfinite(of.rho) for of in found):
        return None, None, FLAT
    if len(found) == 1:
        return found[0].rho, widest(intervals(found[0])), None
    change = difference(found[1], found[0], _own_prompts(found))
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
