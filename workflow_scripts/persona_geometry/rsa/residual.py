"""Taking nuisance structure out of RDMs: clusters, and one-dimensional radial structure."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import merged, vectorize
from persona_geometry.rsa.permutation import orthonormal_basis
from persona_geometry.rsa.ranks import correlation, rsa

FEWEST_LEFT = 3
"""Degrees of freedom that a regression must leave: with fewer it fits whatever is there."""
OCCUPATIONAL, CIVILIAN = "occupational", "civilian"


def residualize(values: np.ndarray, covariates: Sequence[np.ndarray]) -> np.ndarray:
    """What ordinary least squares on an intercept and covariates leaves of a vector.

    Exactly zero for a constant vector, where rounding would otherwise be left.
    """
    if np.ptp(values) == 0:
        return np.zeros_like(values, dtype=float)
    basis = orthonormal_basis(covariates, len(values))
    rest: np.ndarray = values - basis @ (basis.T @ values)
    return rest


def explained(values: np.ndarray, rest: np.ndarray) -> float | None:
    """R²: the share of a vector's variance that its residuals lack; None for a constant."""
    if np.ptp(values) == 0:
        return None
    return float(1.0 - (rest**2).sum() / ((values - values.mean()) ** 2).sum())


def partial_spearman(
    rank_x: np.ndarray, rank_y: np.ndarray, covariates: Sequence[np.ndarray]
) -> float | None:
    """Pearson's correlation of two vectors of doubled ranks, each residualized on covariates.

    None where nothing is left that varies, or fewer than three degrees of freedom.
    """
    if saturated(covariates, len(rank_x)):
        return None
    rest_x, rest_y = residualize(rank_x, covariates), residualize(rank_y, covariates)
    if min(np.ptp(rest_x), np.ptp(rest_y)) < 1e-8 * len(rest_x):
        return None
    return correlation(rest_x, rest_y)


def saturated(covariates: Sequence[np.ndarray], n_pairs: int) -> bool:
    """Whether a partial correlation given covariates has too few pairs to mean anything."""
    return bool(n_pairs - 1 - orthonormal_basis(covariates, n_pairs).shape[1] < FEWEST_LEFT)


def fine_clusters(personas: Sequence[str], clusters: Mapping[str, str]) -> list[str]:
    """Each persona's fine cluster; one without a cluster is a cluster of its own."""
    return [clusters.get(persona, f"persona {persona}") for persona in personas]


def macro_clusters(
    personas: Sequence[str], clusters: Mapping[str, str], macro: Mapping[str, str]
) -> list[str]:
    """Each persona's macro cluster; one without is a macro cluster of its own.

    Where none has one: occupational for a persona with a fine cluster, civilian for one without.
    """
    if not macro:
        return [OCCUPATIONAL if persona in clusters else CIVILIAN for persona in personas]
    return fine_clusters(personas, macro)


def same(names: Sequence[str], labels: Sequence[str]) -> Rdm:
    """Model RDM, 1 where two conditions' labels are equal and 0 where they are not."""
    array = np.array(labels)
    return Rdm.from_square(names, array[:, None] == array[None, :])


def mean_marginals(rdm: Rdm) -> np.ndarray:
    """(pairs,) radial covariate: how far the two conditions of a pair are from all others.

    b[i, j] = mean of d[i, k] + mean of d[j, k] over all other k; 0 where there is none.
    """
    distances, n = rdm.square, len(rdm)
    sums = distances.sum(1)
    return vectorize((sums[:, None] + sums[None, :] - 2.0 * distances) / max(n - 2, 1))


def anchor_sums(rdm: Rdm, anchor: str) -> np.ndarray:
    """(pairs,) radial covariate of all conditions but the anchor: b[i, j] = d[i, a] + d[j, a]."""
    to_anchor = np.delete(rdm.square[rdm.names.index(anchor)], rdm.names.index(anchor))
    return vectorize(to_anchor[:, None] + to_anchor[None, :])


class Residuals:
    """Two RDMs, each residualized on a covariate of its own.

    Attributes:
        x, y: the residuals, as RDMs of the same conditions.
        r2: (2,) shares of variance that the covariates explain; None for a constant RDM.
        spearman: correlation of the residuals; None where a covariate leaves only rounding.
    """

    def __init__(self, x: Rdm, x_covariate: np.ndarray, y: Rdm, y_covariate: np.ndarray) -> None:
        self.x, self.y = _rest(x, x_covariate), _rest(y, y_covariate)
        self.r2 = explained(x.vector, self.x.vector), explained(y.vector, self.y.vector)
        varies = all(
            np.ptp(rest.vector) > 1e-10 * np.ptp(rdm.vector)
            for rest, rdm in ((self.x, x), (self.y, y))
        )
        self.spearman = rsa(self.x, self.y) if varies else None


def _rest(rdm: Rdm, covariate: np.ndarray) -> Rdm:
    """Residuals, of which those that differ by the rounding of the distances are equal."""
    rest = residualize(rdm.vector, [covariate])
    return rdm.of(merged(rest, np.abs(rdm.vector).max(initial=0.0)))


def radial_residuals(x: Rdm, y: Rdm) -> Residuals:
    """Both RDMs without what their mean marginals explain."""
    return Residuals(x, mean_marginals(x), y, mean_marginals(y))
