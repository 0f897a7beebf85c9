"""Many tests at once: step-down max-T over a family, and the false discovery rate."""

from collections.abc import Sequence

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.permutation import ROUNDING, Null, Permutations, correlations, share


def step_down_p_values(null: Null) -> np.ndarray:
    """(K,) p-values adjusted by the step-down max-T method; nan where the statistic is.

    The largest statistic is compared with the largest of all K under each permutation, the next
    with the largest of the others, and so on (Westfall & Young 1993). Never above the single-step
    family-wise p, and like it right at any dependence of the K.
    """
    order = _descending(null.observed)
    reached = _reaching(_largest_of_rest(null.permuted.T, order), null.observed[order])
    p = np.full(len(null.observed), np.nan)
    adjusted = share(reached, len(null.permuted), null.observed[order], null.permutations)
    p[order] = np.maximum.accumulate(adjusted)
    return p


def fdr_q_values(p: np.ndarray) -> np.ndarray:
    """(K,) p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995).

    Right for independent and for positively dependent tests; nan where p is.
    """
    from scipy.stats import false_discovery_control  # slow to import, and few jobs need it

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
    (alone, either, reached), taken = np.zeros((3, len(fixed)), dtype=int), 0
    for permuted in chunks:
        taken += permuted.shape[1]
        alone += _reaching(permuted, observed)
        either += _reaching(np.abs(permuted), np.abs(observed))
        for order in orders:
            reached[order] += _reaching(_largest_of_rest(permuted, order), observed[order])
    p = np.full(len(observed), np.nan)
    for order in orders:
        of_family = share(reached[order], taken, observed[order], permutations)
        p[order] = np.maximum.accumulate(of_family)
    one, two = (share(count, taken, observed, permutations) for count in (alone, either))
    return one, two, p


def _descending(observed: np.ndarray) -> np.ndarray:
    """Places of the statistics, the largest first, without those that are nan."""
    order = np.argsort(-observed, kind="stable")
    places: np.ndarray = order[~np.isnan(observed[order])]
    return places


def _reaching(permuted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(K,) how many of the (K, m) permuted statistics reach the observed ones."""
    counts: np.ndarray = np.count_nonzero(permuted >= observed[:, None] - ROUNDING, axis=1)
    return counts


def _largest_of_rest(permuted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The largest of each row and all later ones, in order."""
    largest: np.ndarray = permuted[order]
    for row, following in zip(largest[-2::-1], largest[:0:-1], strict=True):
        np.maximum(row, following, out=row)
    return largest
