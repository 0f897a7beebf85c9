"""RDMs of a study from its prompts: mean divergences, and cosines of centroids."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.store.packing import as_float32
from persona_geometry.store.store import Store

LN2 = math.log(2.0)


def mean_rdm(per_prompt: np.ndarray, bounded: bool) -> np.ndarray:
    """Average symmetric divergence matrices over prompts, and check what must hold.

    Args:
        per_prompt: (Q, N, N) in nats.
        bounded: whether the divergence is a Jensen-Shannon divergence, which ln 2 bounds.

    Returns:
        (N, N), symmetric with a zero diagonal.

    Raises:
        InputError: negative or non-finite values, a value above ln 2, asymmetry, or a diagonal
            that is not zero. Such values are never written.
    """
    mean = per_prompt.mean(0)
    if not np.isfinite(mean).all() or mean.min() < -1e-6:
        raise InputError("A divergence is negative or not a number; the store must be verified.")
    if bounded and mean.max() > LN2 + 1e-6:
        raise InputError(f"A JS divergence of {mean.max():.6f} exceeds ln 2; verify the store.")
    if not np.allclose(mean, mean.T, atol=1e-12) or np.any(np.diagonal(mean) != 0.0):
        raise InputError("A divergence matrix is not symmetric with a zero diagonal.")
    return np.clip(mean, 0.0, LN2 if bounded else None)


def persona_vectors(
    store: Store, items: Iterable[tuple[str, Sequence[str]]], token: str
) -> Iterable[np.ndarray]:
    """Yield each prompt's (N, L, d) float32 layer vectors from the store.

    Args:
        store: the store.
        items: (item key, N cell keys) a prompt.
        token: "last_prompt_token" or "response_mean".
    """
    for item, cells in items:
        read = [store.read_cell(item, cell, with_states=False) for cell in cells]
        yield np.stack([as_float32(getattr(cell, token)) for cell in read])


def cosine_similarities(centroids: np.ndarray) -> np.ndarray:
    """Cosine similarities of (L, N, d) centroids: (L, N, N), with ones on the diagonal.

    Raises:
        InputError: a centroid of length zero.
    """
    norms = np.linalg.norm(centroids, axis=-1, keepdims=True)
    if not np.all(norms > 0):
        raise InputError("A centroid has length zero, so its cosine is not defined.")
    unit = centroids / norms
    similarities = unit @ unit.transpose(0, 2, 1)
    similarities = np.clip((similarities + similarities.transpose(0, 2, 1)) / 2, -1.0, 1.0)
    diagonal = np.arange(centroids.shape[1])
    similarities[:, diagonal, diagonal] = 1.0
    return similarities
