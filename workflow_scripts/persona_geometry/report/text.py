"""Names, numbers and intervals, as the summary and the figures write them."""

from typing import Any

DIVERGENCES = {"js": "JS divergence", "half_jeffreys": "half-Jeffreys divergence"}
"""What each `divergence.estimator` is called."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def words(name: str) -> str:
    """A name with blanks for its underscores."""
    return name.replace("_", " ")


def number(value: float | None, digits: int = 3) -> str:
    """A statistic for reading: three decimals, small values in powers of ten."""
    if value is None:
        return "not computed"
    if value != 0 and abs(value) < 10**-digits:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return f"{value:.{digits}f}"


def count(n: int, noun: str) -> str:
    """A number of things, in the singular for one."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def interval(ends: dict[str, Any] | None) -> str:
    """`low` to `high`, where there are any."""
    if not ends or ends["low"] is None:
        return number(None)
    return f"{number(ends['low'])} to {number(ends['high'])}"
