"""Names, numbers and intervals, as the summary and the figures write them."""

from collections.abc import Iterable, Sequence
from typing import Any

from persona_geometry.report.sourced import mark
from persona_geometry.rsa.significance import LEVEL

DIVERGENCES = {"js": "JS divergence", "half_jeffreys": "half-Jeffreys divergence"}
"""What each `divergence.estimator` is called."""

IMPORTED = "imported divergence"

ROUNDING = 1e-12
"""What is no farther from 0, or from another number, is so by rounding."""

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def words(name: str) -> str:
    """A name with blanks for its underscores."""
    return mark(name.replace("_", " "), name)


def number(value: float | None, digits: int = 3, beside: float | None = None) -> str:
    """A statistic for reading: three decimals, small values in powers of ten, counts whole.

    What is not 0 for rounding alone is written as 0.

    Args:
        value: the statistic, or None.
        digits: decimals.
        beside: a threshold; more digits are written where fewer would hide on which side of it
            the value is.
    """
    if value is None:
        return "not computed"
    if isinstance(value, int):
        return mark(f"{int(value):,}", value)
    return mark(_digits(float(value), digits, beside), value)


def _digits(value: float, digits: int, beside: float | None) -> str:
    if beside is None and abs(value) <= ROUNDING:
        value = 0.0
    small = value != 0 and abs(value) < 10**-digits
    for more in range(16):
        text = f"{value:.{1 + more}e}" if small else f"{value:z.{digits + more}f}"
        if beside is None or _side(float(text), beside) == _side(value, beside):
            break
    if small:
        mantissa, exponent = text.split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return text


def _side(value: float, threshold: float) -> tuple[bool, bool]:
    return value < threshold, value > threshold


def p_value(p: float | None) -> str:
    """A p-value, on its side of 0.05."""
    return number(p, beside=LEVEL)


def count(n: int | str, noun: str) -> str:
    """A number of things, in the singular for one."""
    return f"{mark(f'{int(n):,}', n)} {noun}{'' if int(n) == 1 else 's'}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def interval(ends: dict[str, Any] | None) -> str:
    """`low` to `high`, where there are any. An end that is not 1 (or 0) is not written as one."""
    if not ends or ends["low"] is None:
        return number(None)
    low, high = (_end(ends[end]) for end in ("low", "high"))
    return f"{low} to {high}"


def _end(value: float) -> str:
    """An end of an interval; one cut to the range of ρ or of a difference is said to be."""
    if abs(value) in (1, 2):
        return f"{value:.0f} (cut)"
    return number(value, beside=1.0 if value > 0 else -1.0)


def divergence_name(alignment: dict[str, Any]) -> str:
    """What the divergences of a study are called; those of a file by no measure of this workflow.

    Args:
        alignment: the content of alignment.json.
    """
    if alignment["n_prompts"] is None:
        return IMPORTED
    return DIVERGENCES[alignment["estimator"]]


def direction(row: dict[str, Any]) -> str:
    """How a pair deviates from its radial structure in both geometries, in words."""
    cosine, js = row["z_cos"], row["z_js"]
    if cosine is None:
        return number(None)
    if cosine < 0 < js:
        return "near in hidden states, far in behavior"
    if js < 0 < cosine:
        return "far in hidden states, near in behavior"
    if min(cosine, js) > 0:
        return "far in both"
    return "near in both" if max(cosine, js) < 0 else "as expected in one"
