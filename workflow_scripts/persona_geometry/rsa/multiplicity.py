"""Many tests at once: step-down max-T over a family, and the false discovery rate."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.permutation import ROUNDING, Null, Permutations, correlations, share


def step_down_p_values(null: Null) -> np.ndarray:
    """(K,) p-values adjusted by the step-down max-T method; nan where the statistic is.

    The largest statistic is compared with the largest of all K under each permutation, the next
    with the largest of the others, and so on (Westfall & Young 1993). Never above the single-step
    family-wise p, and like it right at any dependence of the K.
    """
    order = _descending(null.observed)
    reached = _reached(null.permuted.T, null.observed, order)
    p = np.full(len(null.observed), np.nan)
    adjusted = share(reached, len(null.permuted), null.observed[order], null.permutations)
    p[order] = np.maximum.accumulate(adjusted)
    return p


def fdr_q_values(p: np.ndarray) -> np.ndarray:
    """(K,) p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995).

    Right for independent and for positively dependent tests; nan where p is.
    """
    q, there = np.full(len(p), np.nan), ~np.isnan(p)
    if there.any():
        q[there] = false_discovery_control(p[there])
    return q


def p_values_of_families(
    fixed: Sequence[Rdm], moved: Rdm, permutations: Permutations, families: Sequence[slice]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(K,) p-values of `mantel`, and adjusted ones, each within its family, for many RDMs.

    Args:
        fixed, moved, permutations: as in `mantel`.
        families: which of the K belong together; every one to one family.

    Returns:
        One-sided p-values, two-sided ones, and one-sided step-down max-T ones.
    """
    observed, chunks = correlations(fixed, moved, permutations)
    orders = [family.start + _descending(observed[family]) for family in families]
    alone, either, taken = *np.zeros((2, len(fixed)), dtype=int), 0
    reached = [np.zeros(len(order), dtype=int) for order in orders]
    for permuted in chunks:
        taken += permuted.shape[1]
        for k, (row, own) in enumerate(zip(permuted, observed, strict=True)):
            alone[k] += np.count_nonzero(row >= own - ROUNDING)
            either[k] += np.count_nonzero(np.abs(row) >= abs(own) - ROUNDING)
        for order, of_family in zip(orders, reached, strict=True):
            of_family += _reached(permuted, observed, order)
    p = np.full(len(observed), np.nan)
    for order, of_family in zip(orders, reached, strict=True):
        p[order] = np.maximum.accumulate(share(of_family, taken, observed[order], permutations))
    one, two = (share(count, taken, observed, permutations) for count in (alone, either))
    return one, two, p


def _descending(observed: np.ndarray) -> np.ndarray:
    """Places of the statistics, the largest first, without those that are nan."""
    order = np.argsort(-observed, kind="stable")
    places: np.ndarray = order[~np.isnan(observed[order])]
    return places


def _reached(permuted: np.ndarray, observed: np.ndarray, order: np.ndarray) -> np.ndarray:
    """How many permutations' largest of a row and all later ones, in order, reach its observed."""
    reached = np.zeros(len(order), dtype=int)
    largest = np.full(permuted.shape[1], -np.inf)
    for place in range(len(order))[::-1]:
        row = order[place]
        np.maximum(largest, permuted[row], out=largest)
        reached[place] = np.count_nonzero(largest >= observed[row] - ROUNDING)
    return reached
