"""Correlations of ranked vectors."""

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks


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
    return correlation(doubled_ranks(x), doubled_ranks(y))


def rsa(x: Rdm, y: Rdm) -> float | None:
    """Spearman's correlation of the distances of two RDMs of the same conditions.

    None where one of them is constant (Kriegeskorte, Mur & Bandettini 2008).
    """
    return correlation(x.ranks, y.ranks)
