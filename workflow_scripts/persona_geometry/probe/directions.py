"""Directions that centroids share, and how much of a centroid lies on them."""

import numpy as np

from persona_geometry.probe.groups import others_than


def leading_components(centroids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of centroids and their leading principal components, layer by layer.

    Args:
        centroids: (L, N, d) centroids, more than k.
        k: number of components.

    Returns:
        (L, d) means, and (L, k, d) components, orthonormal, the first with the most variance.
    """
    mean = centroids.mean(axis=1)
    return mean, np.linalg.svd(centroids - mean[:, None], full_matrices=False)[2][:, :k]


def shares_on(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How much of vectors lies in the span of the first direction, of the first two, and so on.

    Args:
        vectors: (L, N, d), none of length zero.
        directions: (L, k, d), orthonormal.

    Returns:
        (L, N, k) shares of the squared lengths, in [0, 1].
    """
    along = vectors @ directions.transpose(0, 2, 1)
    lengths = (vectors**2).sum(axis=2, keepdims=True)
    return np.asarray(np.cumsum(along**2, axis=2) / lengths)


def shared_direction(chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(L, d) unit vectors from the mean of (L, M, d) other centroids to that of chosen ones."""
    return unit(chosen.mean(axis=1) - others.mean(axis=1))


def projected_out(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(L, N, d) vectors without what lies in the span of (L, k, d) orthonormal directions."""
    return np.asarray(vectors - vectors @ directions.transpose(0, 2, 1) @ directions)


def shares_with(centroids: np.ndarray, k: int) -> np.ndarray:
    """(L, N, k) shares of centroids, less their mean, on their own leading components."""
    mean, components = leading_components(centroids, k)
    return shares_on(centroids - mean[:, None], components)


def shares_without(centroids: np.ndarray, chosen: list[int], k: int) -> np.ndarray:
    """Shares of centroids on the leading components of personas that are not among them.

    A chosen persona is measured on the components of all others, less their mean; one of the
    others on those of the others but itself. So neither has a part in what it is measured by.

    Args:
        centroids: (L, N, d) centroids.
        chosen: places of the chosen personas.
        k: number of components, fewer than there are others but one.

    Returns:
        (L, N, k) shares, in [0, 1].
    """
    others = others_than(chosen, centroids.shape[1])

    def measured(places: list[int], by: list[int]) -> np.ndarray:
        mean, components = leading_components(centroids[:, by], k)
        return shares_on(centroids[:, places] - mean[:, None], components)

    shares = np.empty((*centroids.shape[:2], k))
    shares[:, chosen] = measured(chosen, others)
    for place in others:
        shares[:, [place]] = measured([place], [other for other in others if other != place])
    return shares


def pulls(centroids: np.ndarray, chosen: list[int]) -> np.ndarray:
    """How far each persona departs from the others in the direction of the chosen ones.

    That direction leads from the mean of the others to that of the chosen; a persona has no part
    in the mean that it is compared with, of whichever group it is.

    Args:
        centroids: (L, N, d) centroids.
        chosen: places of the chosen personas, at least two.

    Returns:
        (L, N) cosines of a persona's own departure from the others with that direction.
    """
    n = centroids.shape[1]
    cosines = np.empty(centroids.shape[:2])
    for place in range(n):
        group = [other for other in chosen if other != place]
        rest = others_than((*chosen, place), n)
        direction = shared_direction(centroids[:, group], centroids[:, rest])
        departure = unit(centroids[:, place] - centroids[:, rest].mean(axis=1))
        cosines[:, place] = (departure * direction).sum(axis=1)
    return cosines


def unit(vectors: np.ndarray) -> np.ndarray:
    """(L, d) vectors of length one, and of length zero where there is no direction."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    zero = np.zeros_like(vectors)
    return np.asarray(np.divide(vectors, lengths, out=zero, where=lengths > 0))
