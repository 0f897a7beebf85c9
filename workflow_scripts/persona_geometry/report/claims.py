"""What may be claimed of a result: the words that fit a test's outcome, power and direction.

Each claim is a function from a part of alignment.json or comparison.json to words, so that the
words in a report can be derived again from the numbers and compared. `VERBS` may stand nowhere else
in a report.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from persona_geometry.comparison.config import Criterion
from persona_geometry.comparison.verdict import FAILED, HELD, PARTLY, UNTOLD, judge
from persona_geometry.comparison.verdict import verdict as judged
from persona_geometry.report.sourced import mark, plain
from persona_geometry.report.text import direction, number, p_value
from persona_geometry.rsa.gates import COMPARISONS, all_pass, verdict
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.significance import significant

VERBS = re.compile(
    r"\b(?:dis)?agree(?:s|d)?\b|\b(?:was|were|is|are)(?: not)? found\b(?! at ∎ of)"
    r"|\bholds?\b(?! ∎)|\bpredicts?\b"
    r"|\b(?:pass|fail)(?:es|ed|s)?\b|\bsurviv|\bvanish|\b(?:rise|fall)s?\b"
    r"|\bheld\b(?! out)|\breplicat(?:e|es|ed)\b|\bcorrelates?\b"
    r"|\b(?:high|low|strong|weak|bett)er than\b|\bdiffers?\b|\bconfirm|\bshows? that\b|\bproves?\b"
    r"|\b(?:increase|decrease|demonstrate|indicate|reproduce|generalize|determine|cause)[ds]?\b"
    r"|\b(?:reveal|exceed|suggest|support|reflect)(?:ed|s)?\b"
    r"|\bmatches\b|\bsignificant|\bestablish"
    r"|\bexplains?\b(?! (?:∎|R² = ∎))",
    re.IGNORECASE,
)
"""Verbs and phrases that claim something of a result; ∎ is a number with a source."""


def agreement(layer: Mapping[str, Any]) -> str:
    """What the Mantel test says: "the two geometries ..."."""
    rho, p, both = layer["spearman"], layer["mantel_p"], layer["mantel_p_two_sided"]
    if rho is None or p is None:
        return "could not be compared"
    if not significant(layer["mantel_null"]["smallest_p"]):
        return "cannot be told to agree, as so few personas allow no small p"
    if rho > 0 and significant(p):
        return "agree"
    if rho < 0 and significant(both):
        return "disagree"
    return "were not found to agree"


def within_clusters(layer: Mapping[str, Any]) -> str:
    """What the test within clusters says, by its power: "agreement within clusters ..."."""
    p, power = layer["stratified_mantel_p"], layer["stratified_power"]
    if power is None or p is None:
        return "was not tested, as no cluster has two members"
    if not significant(power["smallest_p"]) or not power["power_curve"]:
        return "cannot be tested, whatever the data"
    observed, detectable = power["observed_rho"], power["detectable_rho"]
    if observed is None:
        return "could not be tested"
    if observed <= 0:
        return "was not found, and none is seen"
    if significant(p):
        return "was found"
    if detectable is None or observed < detectable:
        return "was not found by a test that misses most agreement so weak"
    return "was not found by a test that finds most agreement so strong"


def beyond_radial(layer: Mapping[str, Any]) -> str:
    """What the test of residuals says: "agreement beyond radial structure ..."."""
    rho, p = layer["residual_mean_marginal"], layer["residual_mean_marginal_p"]
    if rho is None or p is None:
        return "could not be tested"
    if not significant(layer["mantel_null"]["smallest_p"]):
        return "cannot be tested, whatever the data"
    return "was found" if rho > 0 and significant(p) else "was not found"


def contrast(row: Mapping[str, Any]) -> str:
    """How ρ at one layer stands to that at another, by the interval of their difference."""
    if row["difference"] is None:
        return "cannot be compared with"
    low, high = (widest(row)[end] for end in ("low", "high"))
    return _beside(low, high)


def prediction(found: Mapping[str, Any]) -> str:
    """What came of the named pairs: "the prediction ..."."""
    return {
        True: "holds",
        False: "does not hold",
        None: f"was not evaluated, as {found['reason']}",
    }[found["all_in_top_k"]]


def outcomes(found: Mapping[str, Any]) -> str:
    """Which geometry goes with the outcomes, and whether by as much as would matter."""
    said = {
        "js": "The divergence predicts them better.",
        "cosine": "The cosine distance predicts them better.",
        "undecided": "Which of the two predicts them better is undecided.",
        "equal": "The two predict them equally well, within the smallest effect of interest.",
        None: "Which of the two predicts them better was not evaluated.",
    }[found["stronger"]]
    test = found["difference"]["equivalence"]
    if found["stronger"] not in ("js", "cosine") or not test or test["verdict"] != "equivalent":
        return said
    return (
        f"{said} Yet the difference lies within ±{number(test['smallest_effect'])}, the smallest "
        f"effect of interest (equivalence p = {p_value(test['p'])})."
    )


def equivalence(found: Mapping[str, Any]) -> str:
    """Where ρ lies beside the smallest effect of interest."""
    smallest = number(found["smallest_effect"])
    return {
        "equivalent": f"There is no agreement or disagreement beyond ρ = ±{smallest}",
        "beyond": f"ρ lies beyond ±{smallest}, the smallest effect of interest",
        "undecided": f"Whether ρ lies within or beyond ±{smallest} is undecided",
        None: f"Whether ρ lies within ±{smallest} was not evaluated",
    }[found["verdict"]]


def gate(found: Mapping[str, Any]) -> str:
    """What came of one gate, by its value."""
    if found["passed"] is None or found["value"] is None:
        return "not evaluated"
    passed = COMPARISONS[found["comparison"]](found["value"], found["threshold"])
    return "pass" if passed else "fail"


def confidence(alignment: Mapping[str, Any]) -> str:
    """How far the headline may be trusted: low, moderate or high.

    Low where the test does not find agreement or a gate does not pass; moderate where something
    else speaks against it (`doubts`).
    """
    layer = alignment["layers"][str(alignment["headline_layer"])]
    if agreement(layer) != "agree" or all_pass(alignment["gates"]) is False:
        return "low"
    return "moderate" if doubts(alignment) else "high"


def doubts(alignment: Mapping[str, Any]) -> list[str]:
    """What keeps a headline whose gates pass from high confidence: names of the doubts."""
    layer = alignment["layers"][str(alignment["headline_layer"])]
    low = widest(layer["intervals"])["low"]
    predicted = layer["predictions"]
    found = {
        "interval": low is None or low <= 0,
        "clusters": within_clusters(layer) != "was found",
        "radial": beyond_radial(layer) != "was found",
        "prediction": bool(predicted) and predicted["all_in_top_k"] is not True,
        "gates": all_pass(alignment["gates"]) is None,
        "prompts": (alignment["n_prompts"] or 0) < 2,
    }
    return [name for name, there in found.items() if there]


def replicates(found: Mapping[str, Any]) -> str:
    """What a rule's criteria make of a study: "it ..."."""
    if found["same_measurements"]:
        return "holds the very measurements of the original"
    return {
        HELD: "replicates it",
        PARTLY: "replicates it in part",
        FAILED: "does not replicate it",
        UNTOLD: "cannot be told to replicate it",
    }[judged(found["criteria"])[0]]


def criterion(one: Mapping[str, Any]) -> str:
    """What came of one criterion of a rule, by its value and interval."""
    rule = Criterion(one["criterion"], one["threshold"])
    sure = one["criterion"] == "gates"  # a share, without an interval
    outcome: str = judge(rule, one["value"], None if sure else one, one["reason"])["outcome"]
    return outcome


def correlates(found: Mapping[str, Any] | None) -> str:
    """What the test of two studies' distances says: "their distances ..."."""
    if found is None or found["spearman"] is None or found["p"] is None:
        return "could not be compared"
    return (
        "correlate"
        if found["spearman"] > 0 and significant(found["p"])
        else "were not found to correlate"
    )


def change(found: Mapping[str, Any] | None) -> str:
    """How ρ of one study stands to that of another, by the interval of their difference."""
    if found is None or found["value"] is None:
        return "cannot be compared with"
    low, high = (widest(found)[end] for end in ("low", "high"))
    return _beside(low, high)


def _beside(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "has no interval that sets it apart from"
    if low > 0:
        return "is higher than"
    return "is lower than" if high < 0 else "is not told apart from"


CLAIMS: dict[str, Callable[[Any], str]] = {
    "agreement": agreement,
    "within_clusters": within_clusters,
    "beyond_radial": beyond_radial,
    "contrast": contrast,
    "prediction": prediction,
    "outcomes": outcomes,
    "equivalence": equivalence,
    "direction": direction,
    "gate": gate,
    "gates": verdict,
    "confidence": confidence,
    "replicates": replicates,
    "criterion": criterion,
    "correlates": correlates,
    "change": change,
}


def claim(kind: str, on: Mapping[str, Any] | Sequence[Any]) -> str:
    """The words of a claim, marked with its kind and with the source of what it rests on.

    Args:
        kind: one of `CLAIMS`.
        on: what that takes.
    """
    return mark(CLAIMS[kind](plain(on)), on, f"claim:{kind}")
