"""The level of the tests, and the one rule by which a p-value is small: at most the level."""

from typing import Any

LEVEL = 0.05


def significant(p: Any) -> Any:
    """Whether a p-value is at most the level; an array of them where there are several.

    None and NaN, which stand for what could not be tested, are not.
    """
    return False if p is None else p <= LEVEL
