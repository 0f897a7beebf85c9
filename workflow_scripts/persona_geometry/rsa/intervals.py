"""Confidence intervals from a standard error: on the correlation, and on Fisher's z of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from persona_geometry.rsa.reasons import CONSTANT

LEVEL = 0.95
NO_SPREAD = "Nothing changes whatever is left out or drawn anew, which shows no spread."
_ROUNDED = 1e-12


class Spread(NamedTuple):
    """A variance, and how many degrees of freedom estimate it."""

    variance: float
    df: float


def combined(one: Spread | str, other: Spread | str) -> Spread | str:
    """The sum of independent variances, with the degrees of Welch (1947) and Satterthwaite (1946).

    No variance at all has the degrees of the part that has fewest. A reason in words, in the place
    of a variance that cannot be computed, is the reason of the sum too; the first if there are two.
    """
    if isinstance(one, str) or isinstance(other, str):
        return one if isinstance(one, str) else other
    total = one.variance + other.variance
    squares = one.variance**2 / one.df + other.variance**2 / other.df
    return Spread(total, total**2 / squares if squares > 0 else min(one.df, other.df))


def t_interval(estimate: float, spread: Spread | str, most: float = np.inf) -> dict[str, Any]:
    """Student's t interval: `low`, `high`, `level`, `se`, `df`, and a `reason` of None.

    There is none without any spread: ranks of few pairs may stay as they are whatever is left out,
    which does not make the estimate certain.

    Args:
        estimate: what the interval is of.
        spread: its variance, or why there is none.
        most: largest size that it can have; the interval is cut to it.
    """
    from scipy.special import stdtrit  # slow to import, and the Snakefile reads this module

    if isinstance(spread, str):
        return no_interval(spread)
    if not np.isfinite(estimate):
        return no_interval(CONSTANT)
    se = float(np.sqrt(max(spread.variance, 0.0)))
    if se <= _ROUNDED:
        return no_interval(NO_SPREAD)
    half = se * float(stdtrit(spread.df, (1 + LEVEL) / 2))
    return {
        "low": max(estimate - half, -most),
        "high": min(estimate + half, most),
        "level": LEVEL,
        "se": se,
        "df": float(spread.df),
        "reason": None,
    }


def bounded_t_interval(rho: float, spread: Spread) -> dict[str, Any]:
    """Student's t interval of a correlation, cut to [-1, 1]."""
    return t_interval(rho, spread, 1.0)


def fisher_interval(rho: float, spread: Spread | str) -> dict[str, Any]:
    """Interval of a correlation in (-1, 1) that is Student's t on Fisher's z = artanh ρ.

    Args:
        rho: the correlation, in (-1, 1) where there is a spread.
        spread: of z, or why there is none.

    Returns:
        `low` and `high`, inside (-1, 1); `se` is that of z.
    """
    if isinstance(spread, str):
        return no_interval(spread)
    interval = t_interval(float(np.arctanh(rho)), spread)
    if interval["reason"]:
        return interval
    inside = np.nextafter(1.0, 0.0)
    low, high = (float(np.clip(np.tanh(interval[end]), -inside, inside)) for end in ("low", "high"))
    return interval | {"low": low, "high": high}


def delta_interval(rho: float, spread: Spread) -> dict[str, Any]:
    """Interval of a correlation in (-1, 1), from the spread of ρ itself, which `se` is of.

    The standard error of Fisher's z is that of ρ over 1 - ρ² (the delta method).
    """
    of_z = Spread(spread.variance / (1 - rho**2) ** 2, spread.df)
    interval = fisher_interval(rho, of_z)
    se = None if interval["reason"] else float(np.sqrt(max(spread.variance, 0.0)))
    return interval | {"se": se}


def no_interval(reason: str) -> dict[str, Any]:
    """An interval that is not computed, and why."""
    return dict.fromkeys(("low", "high", "se", "df")) | {"level": LEVEL, "reason": reason}


def widest(intervals: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The interval over prompts and personas, or over personas where there is no such one.

    Args:
        intervals: "dual" and "personas".

    Returns:
        The interval, and `over`, which of the two it is.
    """
    over = "dual" if intervals["dual"]["reason"] is None else "personas"
    return {"over": over, **intervals[over]}
