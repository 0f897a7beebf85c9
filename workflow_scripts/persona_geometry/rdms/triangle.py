"""Symmetric matrices as vectors: upper triangles, and the ranks of their values."""

import numpy as np


def vectorize(matrix: np.ndarray) -> np.ndarray:
    """The N(N-1)/2 values above the diagonal of a (..., N, N) matrix, row by row."""
    rows, columns = np.triu_indices(matrix.shape[-1], 1)
    return matrix[..., rows, columns]


def square(values: np.ndarray, n: int) -> np.ndarray:
    """The symmetric (..., n, n) matrices with a zero diagonal of (..., n(n-1)/2) values."""
    rows, columns = np.triu_indices(n, 1)
    matrix = np.zeros((*values.shape[:-1], n, n))
    matrix[..., rows, columns] = matrix[..., columns, rows] = values
    return matrix


def complement(values: np.ndarray) -> np.ndarray:
    """Cosine distances of cosine similarities, and these of those: 1 - x."""
    return 1.0 - values


def doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the mid-ranks of the last axis, as whole numbers in float64.

    Products of such ranks are sums of whole numbers, exact in float64 up to two million values.
    """
    from scipy.stats import rankdata  # a second to import, which a job that ranks nothing saves

    ranks: np.ndarray = rankdata(values, axis=-1)
    return np.rint(2.0 * ranks)
