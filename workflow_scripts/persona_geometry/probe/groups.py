"""Chosen personas, all others, and the pairs of either and of both."""

from collections.abc import Iterable, Sequence

import numpy as np

GROUPS = {"chosen": 2, "across": 1, "others": 0}
"""How many of a pair are chosen personas."""


def n_chosen_of(pairs: Iterable[tuple[str, str]], chosen: Sequence[str]) -> np.ndarray:
    """(pairs,) how many of each pair are chosen personas."""
    return np.array([len({*pair} & {*chosen}) for pair in pairs])


def places_of(names: Sequence[str], chosen: Sequence[str]) -> tuple[list[int], list[int]]:
    """Places of the chosen personas, in their order, and of all others."""
    places = [names.index(name) for name in chosen]
    return places, others_than(places, len(names))


def others_than(places: Sequence[int], n: int) -> list[int]:
    """Places among n that are not among some."""
    return [place for place in range(n) if place not in places]
