"""Upper triangles, mid-ranks and Spearman's correlation."""

import numpy as np
from scipy.stats import rankdata


def upper(matrix: np.ndarray) -> np.ndarray:
    """The N(N-1)/2 values above the diagonal of a (..., N, N) matrix, row by row."""
    rows, columns = np.triu_indices(matrix.shape[-1], 1)
    return matrix[..., rows, columns]


def square(values: np.ndarray, n: int) -> np.ndarray:
    """The symmetric (n, n) matrix with a zero diagonal that `upper` turns into `values`."""
    matrix = np.zeros((n, n))
    matrix[np.triu_indices(n, 1)] = values
    return matrix + matrix.T


def doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the mid-ranks of the last axis, as whole numbers in float64.

    Products of such ranks are sums of whole numbers, exact in float64 up to two million values.
    """
    return np.rint(2.0 * rankdata(values, axis=-1))


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Pearson's correlation of two vectors, in [-1, 1]; None where one of them is constant."""
    x, y = x - x.mean(), y - y.mean()
    spread = np.sqrt((x @ x) * (y @ y))
    scale = 1e-24 * max(1.0, len(x)) * max(np.abs(x).max(initial=0), np.abs(y).max(initial=0))
    if len(x) < 3 or not spread > scale:
        return None
    return float(np.clip(x @ y / spread, -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's rank correlation with mid-ranks for ties; None where one vector is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return correlation(doubled_ranks(x), doubled_ranks(y))
