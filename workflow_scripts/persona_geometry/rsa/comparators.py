"""Other measures of how well two RDMs agree, beside Spearman's ρ with mid-ranks.

ρ-a and τ-a do not favor RDMs with many ties, as models of clusters have them (Nili et al. 2014;
Schütt et al. 2023). The whitened cosine takes account of the dependence of distances that share a
condition (Diedrichsen et al. 2020); on cross-validated distances it is the whitened unbiased
cosine.
"""

from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import square, vectorize
from persona_geometry.rsa.permutation import Null, Permutations, permuted_products

COMPARATORS = ("rho_a", "tau_a", "whitened_cosine")


def rho_a(x: Rdm, y: Rdm) -> float | None:
    """Spearman's ρ expected when ties are broken at random, in [-1, 1].

    None for fewer than two distances.
    """
    n = len(x.vector)
    if n < 2:
        return None
    middle = n + 1.0  # of doubled ranks
    return float(3.0 * ((x.ranks - middle) @ (y.ranks - middle)) / (n**3 - n))


def tau_a(x: Rdm, y: Rdm) -> float | None:
    """Concordant less discordant pairs of distances, over all pairs of distances, in [-1, 1].

    None for fewer than two distances.
    """
    n = len(x.ranks)
    if n < 2:
        return None
    from scipy.stats import kendalltau  # slow to import, and every job reads the catalogue

    pairs = n * (n - 1) / 2
    untied = [pairs - _tied(rdm.ranks) for rdm in (x, y)]
    if min(untied) == 0:
        return 0.0
    return float(kendalltau(x.ranks, y.ranks).statistic * np.sqrt(untied[0] * untied[1]) / pairs)


def _tied(ranks: np.ndarray) -> float:
    counts = np.unique(ranks, return_counts=True)[1]
    return float((counts * (counts - 1) / 2).sum())


def whitened(vector: np.ndarray, n: int) -> np.ndarray:
    """V⁻¹ of a vector of distances of n conditions.

    V is the covariance of distance estimates of conditions that do not differ, up to scale: 4 on
    the diagonal, 1 where two pairs share a condition. It is twice the identity and, of rank n, the
    sums over the pairs of a condition, so its inverse is known in closed form.
    """
    sums = square(vector, n).sum(axis=1)
    shared = (sums - sums.sum() / (2 * n)) / n
    rest: np.ndarray = (vector - vectorize(shared[:, None] + shared)) / 2.0
    return rest


def whitened_cosine(x: Rdm, y: Rdm) -> float | None:
    """Cosine of two vectors of distances after whitening, in [-1, 1]; None where one is 0."""
    return _whitened(x, y)[0]


def _whitened(x: Rdm, y: Rdm) -> tuple[float | None, np.ndarray, float]:
    """The cosine, what makes its numerator, and what divides it."""
    of_x = whitened(x.vector, len(x))
    scale = float(np.sqrt((of_x @ x.vector) * (whitened(y.vector, len(y)) @ y.vector)))
    value = float(np.clip(of_x @ y.vector / scale, -1, 1)) if scale > 0 else None
    return value, of_x, scale


def whitened_cosine_test(x: Rdm, y: Rdm, permutations: Permutations) -> dict[str, float | None]:
    """`value` of the whitened cosine, and its one-sided `mantel_p`."""
    value, of_x, scale = _whitened(x, y)
    if value is None:
        return {"value": None, "mantel_p": None}
    permuted = permuted_products(of_x[None], y.vector, permutations) / scale
    null = Null(np.array([value]), permuted, permutations)
    return {"value": value, "mantel_p": float(null.p_values()[0])}


def compared(
    chosen: list[str], x: Rdm, y: Rdm, unbiased: Rdm | None, permutations: Permutations
) -> dict[str, Any]:
    """The chosen comparators of two RDMs of the same conditions.

    Args:
        chosen: some of `COMPARATORS`.
        x, y: the RDMs.
        unbiased: cross-validated distances in place of `x`, where there are any.
        permutations: of the test of the whitened cosine.

    Returns:
        `rho_a`, `tau_a`, and `value` and `mantel_p` of `whitened_cosine` and, with `unbiased`, of
        `whitened_unbiased_cosine`; None for what is not chosen.
    """
    nothing = dict.fromkeys(("value", "mantel_p"))
    white = "whitened_cosine" in chosen
    return {
        "rho_a": rho_a(x, y) if "rho_a" in chosen else None,
        "tau_a": tau_a(x, y) if "tau_a" in chosen else None,
        "whitened_cosine": whitened_cosine_test(x, y, permutations) if white else nothing,
        "whitened_unbiased_cosine": whitened_cosine_test(unbiased, y, permutations)
        if white and unbiased is not None
        else nothing,
    }
