"""Whether a study replicates another, by a rule that its config fixed before.

A criterion is held where its interval lies wholly above the threshold, has failed where it lies
wholly below, and cannot be told where the threshold is inside or there is no interval.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from persona_geometry.comparison.config import Criterion
from persona_geometry.rsa.equivalence import BEYOND, EQUAL, equivalence

HELD, PARTLY, FAILED, UNTOLD = "held", "partly held", "failed", "cannot tell"


def judge(
    criterion: Criterion,
    value: float | None,
    interval: Mapping[str, Any] | None,
    reason: str | None,
) -> dict[str, Any]:
    """One criterion: what it is, its value with the interval, `outcome` and `reason`.

    Args:
        criterion: as in the config.
        value: what it is about; None where there is none.
        interval: its 95 % interval; None for what has no uncertainty.
        reason: why there is no value.

    Returns:
        `criterion`, `threshold`, `value`; `low`, `high`, `se` and `df` of the interval; `outcome`
        and `reason`.
    """
    of = {**vars(criterion), "value": value}
    of |= {name: interval.get(name) if interval else None for name in ("low", "high", "se", "df")}
    low, high = of["low"], of["high"]
    threshold = criterion.threshold
    if value is None:
        return of | {"outcome": UNTOLD, "reason": reason}
    if interval is None:
        return of | {"outcome": HELD if value >= threshold else FAILED, "reason": None}
    if low is None or high is None:
        return of | {"outcome": UNTOLD, "reason": interval["reason"]}
    if criterion.criterion == "difference":
        found = equivalence(value, interval, threshold)["verdict"]
        outcome = {EQUAL: HELD, BEYOND: FAILED}.get(found, UNTOLD)
        wide = f"Its interval does not settle whether it is within ± {threshold:g}."
    else:
        outcome = HELD if low > threshold else FAILED if high < threshold else UNTOLD
        wide = f"Its interval holds the threshold {threshold:g}."
    return of | {"outcome": outcome, "reason": wide if outcome == UNTOLD else None}


def verdict(judged: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The verdict on a replication, and why, in words.

    Held where every criterion is, failed where every one has, partly held where some are and some
    have. Where criteria that cannot be told could make it one or the other, it cannot be told.
    """
    names = {
        outcome: [one["criterion"] for one in judged if one["outcome"] == outcome]
        for outcome in (HELD, FAILED, UNTOLD)
    }
    held, failed, untold = (", ".join(map(_words, names[o])) for o in (HELD, FAILED, UNTOLD))
    parts = [
        f"{said}: {listed}"
        for said, listed in (("held", held), ("failed", failed), ("not told", untold))
        if listed
    ]
    if held and failed:
        found = PARTLY
    elif untold:
        found = UNTOLD
    else:
        found = HELD if held else FAILED
    return found, "; ".join(parts).capitalize() + "."


def _words(name: str) -> str:
    return name.replace("_", " ")
