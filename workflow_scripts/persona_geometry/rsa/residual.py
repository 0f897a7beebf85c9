"""Taking nuisance structure out of RDMs: clusters, and one-dimensional radial structure."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.rsa.permutation import orthonormal_basis
from persona_geometry.rsa.ranks import correlation, doubled_ranks, square, upper

OCCUPATIONAL, CIVILIAN = "occupational", "civilian"


def residuals(values: np.ndarray, covariates: Sequence[np.ndarray]) -> np.ndarray:
    """What ordinary least squares on an intercept and covariates leaves of a vector.

    Exactly zero for a constant vector, where rounding would otherwise be left.
    """
    if np.ptp(values) == 0:
        return np.zeros_like(values, dtype=float)
    basis = orthonormal_basis(covariates, len(values))
    return values - basis @ (basis.T @ values)


def explained(values: np.ndarray, rest: np.ndarray) -> float | None:
    """R²: the share of a vector's variance that its residuals lack; None for a constant."""
    if np.ptp(values) == 0:
        return None
    return float(1.0 - (rest**2).sum() / ((values - values.mean()) ** 2).sum())


def partial_spearman(
    x: np.ndarray, y: np.ndarray, covariates: Sequence[np.ndarray]
) -> float | None:
    """Pearson's correlation of two vectors' ranks, each residualized on the covariates."""
    rank_x, rank_y = doubled_ranks(x), doubled_ranks(y)
    rest_x, rest_y = residuals(rank_x, covariates), residuals(rank_y, covariates)
    if min(np.ptp(rest_x), np.ptp(rest_y)) < 1e-8 * len(x):
        return None
    return correlation(rest_x, rest_y)


def fine_clusters(personas: Sequence[str], clusters: Mapping[str, str]) -> list[str]:
    """Each persona's fine cluster; one without a cluster is a cluster of its own."""
    return [clusters.get(persona, f"persona {persona}") for persona in personas]


def macro_clusters(personas: Sequence[str], clusters: Mapping[str, str]) -> list[str]:
    """Occupational for a persona with a cluster, civilian for one without."""
    return [OCCUPATIONAL if persona in clusters else CIVILIAN for persona in personas]


def same(labels: Sequence[str]) -> np.ndarray:
    """(N, N) indicator, 1.0 where two labels are equal."""
    array = np.array(labels)
    return (array[:, None] == array[None, :]).astype(float)


def mean_marginals(distances: np.ndarray) -> np.ndarray:
    """(N, N) radial covariate: how far the two personas of a pair are from everyone else.

    b[i, j] = mean of d[i, k] + mean of d[j, k] over all k other than i and j.
    """
    n = len(distances)
    sums = distances.sum(1)
    return (sums[:, None] + sums[None, :] - 2.0 * distances) / (n - 2)


def without(distances: np.ndarray, covariate: np.ndarray) -> tuple[np.ndarray, float | None]:
    """Residuals of an RDM on a covariate RDM, as a matrix, and the R² of the covariate."""
    values = upper(distances)
    rest = residuals(values, [upper(covariate)])
    return square(rest, len(distances)), explained(values, rest)


def anchor_sums(to_anchor: np.ndarray) -> np.ndarray:
    """(N, N) radial covariate from (N,) distances to the anchor: b[i, j] = d[i] + d[j]."""
    return to_anchor[:, None] + to_anchor[None, :]
