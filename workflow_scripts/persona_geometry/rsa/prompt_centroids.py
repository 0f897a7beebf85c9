"""Cosine distances of centroids when prompts are weighted anew, left out, or kept apart.

All of them are inner products of sums over prompts, so single vectors are met block by block and
no array grows with the square of the number of prompts.
"""

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.triangle import complement, vectorize

_BLOCK_ELEMENTS = 4_000_000


def weighted_cosine_distances(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cosine distances of centroids in which prompts weigh anew.

    Args:
        vectors: (Q, N, d) vectors per prompt and persona.
        weights: (n, Q) weights of prompts, such as how often a resample holds each.

    Returns:
        (n, N(N-1)/2) distances, in the order of the upper triangle.

    Raises:
        InputError: a vector holds a value that is not a number.
    """
    vectors = fewest_coordinates(vectors)
    prompts, personas, width = vectors.shape
    inner = np.zeros((len(weights), personas, personas))
    step = max(1, _BLOCK_ELEMENTS // (personas * (prompts + len(weights))))
    for start in range(0, width, step):
        block = vectors[:, :, start : start + step].astype(np.float64)
        sums = (weights @ block.reshape(prompts, -1)).reshape(len(weights), personas, -1)
        inner += sums @ sums.transpose(0, 2, 1)
    return _distances(inner)


def left_out_cosine_distances(vectors: np.ndarray) -> np.ndarray:
    """(Q, N(N-1)/2) cosine distances of centroids without each prompt, of (Q, N, d) vectors.

    Raises:
        InputError: a vector holds a value that is not a number.
    """
    _refuse_nan(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    inner = np.empty((len(vectors), len(total), len(total)))
    for prompt, own in enumerate(vectors):
        rest = total - own
        inner[prompt] = rest @ rest.T
    return _distances(inner)


def crossvalidated_cosine_distances(vectors: np.ndarray) -> np.ndarray | None:
    """Cosine distances from inner products between different prompts only.

    Noise of single prompts is independent between prompts, so these inner products, and the
    squared lengths among them, are unbiased where those of centroids are not.

    Args:
        vectors: (Q, N, d) vectors per prompt and persona.

    Returns:
        (N(N-1)/2,) distances, which may be below 0 or above 2; None with fewer than two prompts,
        or where a squared length is not positive.

    Raises:
        InputError: a vector holds a value that is not a number.
    """
    _refuse_nan(vectors)
    total = vectors.sum(axis=0, dtype=np.float64)
    inner = total @ total.T
    for own in vectors:
        own = own.astype(np.float64)
        inner -= own @ own.T
    # What is left of equal lengths by rounding is not positive.
    smallest = 1e-12 * (total**2).sum(axis=1)
    if len(vectors) < 2 or not (np.diag(inner) > smallest).all():
        return None
    distances: np.ndarray = _distances(inner[None])[0]
    return distances


def _distances(inner: np.ndarray) -> np.ndarray:
    """(n, pairs) cosine distances of (n, N, N) inner products."""
    lengths = np.sqrt(np.einsum("rii->ri", inner))
    return complement(vectorize(inner) / vectorize(lengths[:, :, None] * lengths[:, None, :]))


def fewest_coordinates(vectors: np.ndarray) -> np.ndarray:
    """Vectors with the same inner products, in no more dimensions than there are vectors.

    Of what it returned itself it returns the same: who weighs often, calls it once before.
    """
    _refuse_nan(vectors)
    prompts, personas, width = vectors.shape
    if prompts * personas >= width:
        return vectors
    flat = vectors.reshape(-1, width).astype(np.float64)
    triangle = np.asarray(np.linalg.qr(flat.T, mode="r"))
    return triangle.T.reshape(prompts, personas, -1)


def _refuse_nan(vectors: np.ndarray) -> None:
    for prompt, own in enumerate(vectors):
        if not np.isfinite(own).all():
            persona = int(np.argwhere(~np.isfinite(own))[0][0])
            raise InputError(
                f"The vector of prompt {prompt} and persona {persona} (counted from 0) holds a "
                f"value that is not a number; compute it again."
            )
