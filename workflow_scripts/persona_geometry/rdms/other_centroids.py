"""Centroids seen another way: without what all personas share, or without what varies most.

Where every cosine is near 1, one direction that all centroids share hides how they differ. Taking
it off, alone or with the leading principal components, leaves what distinguishes single personas
("all but the top": Mu & Viswanath, ICLR 2018).
"""

from collections.abc import Sequence

import numpy as np

from persona_geometry.errors import InputError

TOKENS = ("last_prompt_token", "response_mean")
ROUNDING = 1e-9


def mean_centered(centroids: np.ndarray, of: Sequence[int]) -> np.ndarray:
    """Centroids less their mean over some personas.

    Args:
        centroids: (L, N, d) centroids.
        of: places of the personas that the mean is taken over.

    Raises:
        InputError: nothing but rounding is left of a centroid.
    """
    return _still_there(centroids - centroids[:, of].mean(axis=1, keepdims=True), centroids)


def components_removed(centroids: np.ndarray, of: Sequence[int], k: int) -> np.ndarray:
    """Mean-centered centroids with the k leading principal components projected out.

    Args:
        centroids: (L, N, d) centroids.
        of: places of the personas whose mean and components they are.
        k: number of components, each layer having its own.

    Raises:
        InputError: nothing but rounding is left of a centroid.
    """
    rest = centroids - centroids[:, of].mean(axis=1, keepdims=True)
    for layer in rest:
        directions = np.linalg.svd(layer[of], full_matrices=False)[2][:k]
        layer -= layer @ directions.T @ directions
    return _still_there(rest, centroids)


def _still_there(rest: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    left = np.linalg.norm(rest, axis=-1)
    for layer, persona in np.argwhere(left <= ROUNDING * np.linalg.norm(centroids, axis=-1)):
        raise InputError(
            f"At layer {layer}, nothing is left of the centroid of persona {persona} (counted "
            f"from 0) but rounding; remove mean_centered and components_removed from "
            f"geometry.also, or lower geometry.components."
        )
    return rest
