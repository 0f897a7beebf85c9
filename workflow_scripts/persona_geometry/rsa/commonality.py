"""What explains the divergences: parts of R² that are one predictor's own, and parts shared.

R² of the ranks of divergences, regressed on the ranks of every subset of predictors, is taken apart
into a part for every subset: what just these predictors have in common, and no other has
(commonality analysis: Mood 1971; Nimon & Reio 2011). A shared part may be negative, where one
predictor suppresses what in another has nothing to do with the divergences.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from persona_geometry.rsa.permutation import orthonormal_basis

PREDICTORS = ("cosine", "clusters", "radial", "lexical")


def commonality(y: np.ndarray, predictors: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Any]:
    """Parts of R² of a vector of ranks.

    Args:
        y: (pairs,) ranks that are explained.
        predictors: name to one or more (pairs,) vectors; one that does not vary takes no part.

    Returns:
        `r2` of all predictors, in [0, 1]; `alone`: R² of each; `unique`: what R² loses without
        each; `shared`: `alone` less `unique`; `parts`: for every subset of `predictors` the part of
        `r2` that only they have in common, all of which add up to the whole. Everything is
        None where y does not vary, and so is what belongs to a predictor that does not.
    """
    there = {
        name: columns
        for name, columns in predictors.items()
        if any(np.ptp(column) > 0 for column in columns)
    }
    names = list(there)
    if np.ptp(y) == 0 or not names:
        nothing = dict.fromkeys(predictors)
        return {"r2": None, "alone": nothing, "unique": nothing, "shared": nothing, "parts": []}
    r2 = {
        frozenset(subset): _r2(y, [column for name in subset for column in there[name]])
        for subset in _subsets(names)
    } | {frozenset[str](): 0.0}
    whole = frozenset(names)
    unique = {name: r2[whole] - r2[whole - {name}] for name in names}
    alone = {name: r2[frozenset({name})] for name in names}
    return {
        "r2": r2[whole],
        "alone": {name: alone.get(name) for name in predictors},
        "unique": {name: unique.get(name) for name in predictors},
        "shared": {
            name: alone[name] - unique[name] if name in there else None for name in predictors
        },
        "parts": [
            {"predictors": list(subset), "r2": _part(r2, whole, subset)}
            for subset in _subsets(names)
        ],
    }


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(1, len(names) + 1):
        yield from combinations(names, size)


def _part(
    r2: Mapping[frozenset[str], float], whole: frozenset[str], subset: Sequence[str]
) -> float:
    """By inclusion and exclusion over what of the subset is left out beside all others."""
    rest = whole - set(subset)
    inner = [(), *_subsets(subset)]
    return -sum(float((-1) ** len(some)) * r2[rest | set(some)] for some in inner)


def _r2(y: np.ndarray, columns: Sequence[np.ndarray]) -> float:
    basis = orthonormal_basis(columns, len(y))
    centered = y - y.mean()
    explained = basis.T @ centered
    return float(np.clip(explained @ explained / (centered @ centered), 0.0, 1.0))
