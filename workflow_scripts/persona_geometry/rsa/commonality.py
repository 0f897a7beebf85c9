"""What explains the divergences: parts of R² that are one predictor's own, and parts shared.

R² of the ranks of divergences, regressed on the ranks of every subset of predictors, is taken apart
into a part for every subset: what just these predictors have in common, and no other has
(commonality analysis: Mood 1969; Nimon et al. 2008). A shared part may be negative, where one
predictor suppresses what in another has nothing to do with the divergences.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from persona_geometry.rsa.permutation import orthonormal_basis
from persona_geometry.rsa.reasons import CONSTANT, TOO_FEW_PAIRS
from persona_geometry.rsa.residual import FEWEST_LEFT

PREDICTORS = ("cosine", "clusters", "radial", "lexical")


def commonality(y: np.ndarray, predictors: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Any]:
    """Parts of R² of a vector of ranks.

    Args:
        y: (pairs,) ranks that are explained.
        predictors: name to one or more (pairs,) vectors; one that does not vary takes no part.

    Returns:
        `r2` of all predictors, in [0, 1]; `r2_adjusted` for their number, at most `r2`; `columns`,
        how many numbers describe a pair in all; `alone`: R² of each; `unique`: what R² loses
        without each; `shared`: `alone` less `unique`; `parts`: for every subset of `predictors` the
        part of `r2` that only they have in common, all of which add up to the whole. Everything is
        None where y does not vary, or where the predictors leave fewer than three degrees of
        freedom, and so is what belongs to a predictor that does not vary; `reason` says why.
    """
    there = {
        name: columns
        for name, columns in predictors.items()
        if any(np.ptp(column) > 0 for column in columns)
    }
    names = list(there)
    reason = None
    if np.ptp(y) == 0 or not names:
        reason = CONSTANT
    else:
        basis = orthonormal_basis([column for of in there.values() for column in of], len(y))
        columns = basis.shape[1] - 1
        left = len(y) - 1 - columns
        if left < FEWEST_LEFT:
            reason = TOO_FEW_PAIRS
    if reason:
        nothing = dict.fromkeys(predictors)
        whole_study = dict.fromkeys(("r2", "r2_adjusted", "columns"))
        parts = {"alone": nothing, "unique": nothing, "shared": nothing, "parts": []}
        return {**whole_study, **parts, "reason": reason}
    r2 = {
        frozenset(subset): _r2(y, [column for name in subset for column in there[name]])
        for subset in _subsets(names)
    } | {frozenset[str](): 0.0}
    whole = frozenset(names)
    unique = {name: r2[whole] - r2[whole - {name}] for name in names}
    alone = {name: r2[frozenset({name})] for name in names}
    return {
        "r2": r2[whole],
        "r2_adjusted": 1 - (1 - r2[whole]) * (len(y) - 1) / left,
        "columns": columns,
        "alone": {name: alone.get(name) for name in predictors},
        "unique": {name: unique.get(name) for name in predictors},
        "shared": {
            name: alone[name] - unique[name] if name in there else None for name in predictors
        },
        "parts": [
            {"predictors": list(subset), "r2": _part(r2, whole, subset)}
            for subset in _subsets(names)
        ],
        "reason": None,
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
