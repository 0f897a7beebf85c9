"""Pairs that are near in one geometry and far in the other, and how stable they are over prompts.

Radial structure is taken out of both geometries first (`residual.radial_residuals`), and what is
left is divided by its standard deviation. Both geometries are distances: z_js - z_cos is positive
for a pair that is nearer in hidden states than in behavior, and negative for the reverse. A pair is
decoupled only where the two signs differ; a large |z_cos| + |z_js| may be a pair that deviates the
same way in both.
"""

from typing import Any

import numpy as np

from persona_geometry.rdms.triangle import doubled_ranks, square, vectorize
from persona_geometry.rsa.residual import Residuals


def z_scores(residuals: Residuals) -> tuple[np.ndarray, np.ndarray] | None:
    """(pairs,) residuals of cosine distances and divergences over their population sd.

    None where a covariate leaves only rounding.
    """
    if residuals.spearman is None:
        return None
    x, y = (_standardized(rest.vector) for rest in (residuals.x, residuals.y))
    return x, y


def _standardized(values: np.ndarray) -> np.ndarray:
    """z-scores, of which those that are only rounding have no sign."""
    z = (values - values.mean()) / values.std()
    return np.where(np.abs(z) < 1e-10, 0.0, z)


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """(..., k) places of the k largest in size of (..., pairs) values, of equal ones the first."""
    return np.argsort(-doubled_ranks(np.abs(values)), axis=-1, kind="stable")[..., :k]


def decoupled(row: dict[str, Any]) -> bool:
    """Whether a pair is nearer than expected in one geometry and farther in the other."""
    return bool(row["z_cos"] * row["z_js"] < 0)


def decoupled_pairs(
    table: list[dict[str, Any]], k: int, resampled: "TopPairs | None", reason: str | None
) -> dict[str, Any]:
    """The k pairs of largest |z_js - z_cos|, and how often resampled prompts have them on top.

    Args:
        table: rows of `pairs.pair_table`.
        k: how many pairs.
        resampled: what resamples of the prompts had on top; None where there are none.
        reason: in words, why there are none.

    Returns:
        `pairs`, rows with `decoupled` and `share_in_top` (of the resamples in which it is among
        the k; None without resamples), `resamples` (None without) and `reason`.
    """
    rows = [] if not table or table[0]["z_cos"] is None else list(enumerate(table))
    leading = [rows[p] for p in largest(np.array([row["z_difference"] for _, row in rows]), k)]
    if not rows:
        reason = "A geometry does not vary beyond its radial structure."
    elif k >= len(table):
        reason = "top_k is every pair, so every resample has all of them among its top."
    counted = resampled if reason is None and resampled and resampled.taken else None
    if counted is None and reason is None:
        reason = "In no resample of the prompts does either geometry vary."
    return {
        "pairs": [
            {
                **row,
                "decoupled": decoupled(row),
                "share_in_top": float(counted.hits[place] / counted.taken) if counted else None,
            }
            for place, row in leading
        ],
        "resamples": counted.taken if counted else None,
        "reason": reason,
    }


class TopPairs:
    """Counts how often each pair is among the k of largest |z_js - z_cos|.

    Attributes:
        hits: (pairs,) times that each was.
        taken: resamples that had an order.
    """

    def __init__(self, n: int, k: int) -> None:
        self._n, self._k = n, k
        self.hits, self.taken = np.zeros(n * (n - 1) // 2, dtype=int), 0

    def see(self, cosine: np.ndarray, divergence: np.ndarray) -> None:
        """Count (m, pairs) resampled distances of both geometries; (1, pairs) where one stays."""
        if self._n < 4 or self._k >= len(self.hits):
            return
        difference = self._z(divergence) - self._z(cosine)
        difference = difference[np.isfinite(difference).all(axis=1)]
        top = largest(difference, self._k)
        self.hits += np.bincount(top.ravel(), minlength=len(self.hits))
        self.taken += len(difference)

    def _z(self, distances: np.ndarray) -> np.ndarray:
        """z-scores of residuals on mean marginals, row by row; NaN where only rounding is left."""
        sums = square(distances, self._n).sum(axis=2)
        marginals = vectorize(sums[:, :, None] + sums[:, None, :]) - 2.0 * distances
        marginals -= marginals.mean(axis=1, keepdims=True)
        centered = distances - distances.mean(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (centered * marginals).sum(axis=1) / (marginals**2).sum(axis=1)
            rest = centered - np.nan_to_num(slope)[:, None] * marginals
            sd = rest.std(axis=1, keepdims=True)
            varies = sd > 1e-10 * centered.std(axis=1, keepdims=True)
            return np.where(varies, rest / sd, np.nan)
