"""Centered kernel alignment (Kornblith et al. 2019), for exploration only."""

from collections.abc import Callable

import numpy as np

ROUNDING = 1e-13  # of the squares that cancel


def linear_cka(x: np.ndarray, y: np.ndarray) -> float | None:
    """Linear CKA of (N, p) and (N, q) features, in [0, 1]; None where one is constant."""
    return kernel_cka(x, y @ y.T)


def kernel_cka(x: np.ndarray, kernel: np.ndarray) -> float | None:
    """CKA of the linear kernel of (N, p) features and an (N, N) similarity matrix as a kernel.

    In [-1, 1], as similarities need not be positive definite; None where one is constant.
    """
    gram = x @ x.T
    if _constant(gram) or _constant(kernel):
        return None
    return _aligned(_centered(gram), _centered(kernel), _biased_hsic)


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float | None:
    """Linear CKA with the unbiased HSIC of Song et al. (JMLR 13, 2012); may be negative.

    None for fewer than four rows, and where only rounding is left, as of equidistant rows.
    """
    if len(x) < 4 or _constant(x @ x.T) or _constant(y @ y.T):
        return None
    # The estimate is the same for centered features, with less to cancel.
    gram_x, gram_y = (of @ of.T for of in (x - x.mean(0), y - y.mean(0)))
    for gram in (gram_x, gram_y):
        off_diagonal = gram - np.diag(np.diag(gram))
        if not _unbiased_hsic(gram, gram) > ROUNDING * (off_diagonal**2).sum():
            return None
    return _aligned(gram_x, gram_y, _unbiased_hsic)


def _constant(gram: np.ndarray) -> bool:
    """Whether centering leaves only rounding of inner products."""
    return not np.abs(_centered(gram)).max() > ROUNDING * np.abs(gram).max()


def _centered(gram: np.ndarray) -> np.ndarray:
    centered: np.ndarray = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    return centered


def _biased_hsic(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum())


def _unbiased_hsic(a: np.ndarray, b: np.ndarray) -> float:
    n = len(a)
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    whole = a.sum() * b.sum() / ((n - 1) * (n - 2))
    return float((a * b).sum() + whole - 2.0 * (a.sum(0) @ b.sum(0)) / (n - 2))


def _aligned(
    a: np.ndarray, b: np.ndarray, hsic: Callable[[np.ndarray, np.ndarray], float]
) -> float | None:
    scale = hsic(a, a) * hsic(b, b)
    return hsic(a, b) / float(np.sqrt(scale)) if scale > 0 else None
