"""Cosine distances of centroids when prompts are weighted anew, left out, or kept apart.

All of them are inner products of sums over prompts, so single vectors are met block by block and
no array grows with the square of the number of prompts.
"""

from collections.abc import Iterator

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.triangle import complement, vectorize

MANY_PROMPTS = 200
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
    inner = np.zeros((len(weights), vectors.shape[1], vectors.shape[1]))
    for _, sums in _weighted_sums(vectors, weights):
        inner += sums @ sums.transpose(0, 2, 1)
    _refuse_nan(vectors, inner)
    return _distances(inner)


def halved_cosine_distances(
    vectors: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distances of centroids of either half of the prompts.

    Args:
        vectors: (Q, N, d) vectors per prompt and persona.
        first, second: (S, Q) whether a prompt is in either half; of an odd number of them one
            is left aside.

    Returns:
        (S, N(N-1)/2) distances of either half, in the order of the upper triangle.

    Raises:
        InputError: a vector holds a value that is not a number.
    """
    vectors = fewest_coordinates(vectors)
    prompts, personas, _ = vectors.shape
    total, aside = vectors.sum(axis=0, dtype=np.float64), np.argmin(first | second, axis=1)
    _refuse_nan(vectors, total)
    inner = np.zeros((2, len(first), personas, personas))
    for columns, sums in _weighted_sums(vectors, first.astype(float)):
        rest = total[:, columns] - sums
        if prompts % 2:
            rest -= vectors[aside, :, columns]
        for of_half, half in zip(inner, (sums, rest), strict=True):
            of_half += half @ half.transpose(0, 2, 1)
    return _distances(inner[0]), _distances(inner[1])


def _weighted_sums(vectors: np.ndarray, weights: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield coordinates, some at a time, and the (n, N, k) weighted sums of vectors in them.

    Of many prompts, what single vectors differ from a middle is summed in single precision. The
    sums of equal vectors are equal, as each persona's are a product of their own.
    """
    prompts, personas, width = vectors.shape
    if prompts < MANY_PROMPTS:
        precision, middle = np.float64, np.zeros((personas, width), vectors.dtype)
    else:
        precision, middle = np.float32, vectors.mean(axis=0, dtype=np.float64).astype(vectors.dtype)
    totals, weights = weights.sum(axis=1)[:, None, None], weights.astype(precision)
    step = max(1, _BLOCK_ELEMENTS // (personas * (prompts + len(weights))))
    for start in range(0, width, step):
        columns = slice(start, start + step)
        rest = (vectors[:, :, columns] - middle[:, columns]).transpose(1, 0, 2)
        sums = (weights @ rest.astype(precision)).transpose(1, 0, 2)
        yield columns, sums + totals * middle[:, columns].astype(np.float64)


def left_out_cosine_distances(vectors: np.ndarray) -> np.ndarray:
    """(Q, N(N-1)/2) cosine distances of centroids without each prompt, of (Q, N, d) vectors.

    Raises:
        InputError: a vector holds a value that is not a number.
    """
    total = vectors.sum(axis=0, dtype=np.float64)
    _refuse_nan(vectors, total)
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
    total = vectors.sum(axis=0, dtype=np.float64)
    _refuse_nan(vectors, total)
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
    prompts, personas, width = vectors.shape
    if prompts * personas >= width:
        return vectors
    flat = vectors.reshape(-1, width).astype(np.float64)
    _refuse_nan(vectors, flat)
    triangle = np.asarray(np.linalg.qr(flat.T, mode="r"))
    return triangle.T.reshape(prompts, personas, -1)


def _refuse_nan(vectors: np.ndarray, sums: np.ndarray) -> None:
    """Refuse a value that is not a number, which any sum over prompts shows."""
    if np.isfinite(sums).all():
        return
    for prompt, own in enumerate(vectors):
        if not np.isfinite(own).all():
            persona = int(np.argwhere(~np.isfinite(own))[0][0])
            raise InputError(
                f"The vector of prompt {prompt} and persona {persona} (counted from 0) holds a "
                f"value that is not a number; compute it again."
            )
