"""The permutation engine: one stream of permutations for every test of a study.

A Mantel test relabels the personas of one matrix, rows and columns together, and correlates the
upper triangles again (Mantel, Cancer Research 27, 1967). Ranks are taken once: relabeling moves
ranks about and changes none. All layers share the matrix that is relabeled, so its values are
gathered once for a chunk of permutations and multiplied with every layer's ranks in one product.

Sums of doubled mid-ranks are whole numbers and exact, so a permutation that leaves the statistic as
it is counts as reaching it, whatever the order of summation.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations as arrangements
from itertools import product
from math import factorial, prod
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import square

CHUNK_LABELS = 50_000  # so that what a chunk gathers stays in a core's cache
CHUNK_PAIRS = 450_000
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.95, 0.975)
ROUNDING = 1e-10
_ROUNDED = 1e-10  # of squares: what rounding leaves where a covariate explains all
LARGEST = 2**53


@dataclass(frozen=True)
class Permutations:
    """A reproducible stream of permutations of n labels.

    Attributes:
        n: number of labels.
        groups: label numbers that may change places with each other; the others stay.
        count: permutations to draw, B; where no more than that are possible, each is taken once.
        seed: of the draws. Equal seeds give equal streams, whatever is tested with them.
        inverted: whether each permutation is undone instead of done.
    """

    n: int
    groups: tuple[tuple[int, ...], ...]
    count: int
    seed: int
    inverted: bool = False

    @classmethod
    def free(cls, n: int, count: int, seed: int) -> "Permutations":
        """All labels may change places."""
        return cls(n, (tuple(range(n)),), count, seed)

    @classmethod
    def within(cls, strata: Sequence[Hashable | None], count: int, seed: int) -> "Permutations":
        """Labels change places within their stratum; None stays in place."""
        members: dict[Hashable, list[int]] = {}
        for label, stratum in enumerate(strata):
            if stratum is not None:
                members.setdefault(stratum, []).append(label)
        groups = tuple(tuple(group) for group in members.values() if len(group) > 1)
        return cls(len(strata), groups, count, seed)

    def inverse(self) -> "Permutations":
        """The stream that does to the other matrix what this one does to one.

        Permuting x by the inverse gives, with y, exactly the statistics of permutation y.
        """
        return replace(self, inverted=not self.inverted)

    @property
    def possible(self) -> int:
        """Number of different permutations, the identity included."""
        return prod(factorial(len(group)) for group in self.groups)

    @property
    def enumerated(self) -> bool:
        """Whether each possible permutation is taken exactly once."""
        return self.possible <= self.count

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a test with this stream can give."""
        return 1.0 / (self.possible if self.enumerated else self.count + 1)

    def chunks(self, size: int) -> Iterator[np.ndarray]:
        """Yield (m, n) arrays of permutations, m at most `size`.

        Enumerated ones begin with the identity; to sampled ones the p-value adds it.
        The stream does not depend on `size`.
        """
        for rows in self._all(size) if self.enumerated else self._drawn(size):
            yield np.argsort(rows, axis=1) if self.inverted else rows

    def _drawn(self, size: int) -> Iterator[np.ndarray]:
        streams = np.random.default_rng(self.seed).spawn(len(self.groups))
        for start in range(0, self.count, size):
            rows = np.tile(np.arange(self.n), (min(size, self.count - start), 1))
            for group, stream in zip(self.groups, streams, strict=True):
                rows[:, group] = stream.permuted(rows[:, group], axis=1)
            yield rows

    def _all(self, size: int) -> Iterator[np.ndarray]:
        rows = []
        for moves in product(*(arrangements(group) for group in self.groups)):
            row = np.arange(self.n)
            for group, moved in zip(self.groups, moves, strict=True):
                row[list(group)] = moved
            rows.append(row)
            if len(rows) == size:
                yield np.array(rows)
                rows = []
        if rows:
            yield np.array(rows)


@dataclass(frozen=True)
class Null:
    """Observed statistics and their permutation distribution.

    Attributes:
        observed: (K,) statistics; nan where one cannot be computed.
        permuted: (B, K) statistics under permutation.
        permutations: the stream.
    """

    observed: np.ndarray
    permuted: np.ndarray
    permutations: Permutations

    def p_values(self) -> np.ndarray:
        """(K,) one-sided upper p-values; nan where the statistic is. Never 0.

        Sampled: (b + 1) / (B + 1), b counting the permutations that reach the observed statistic
        (Phipson & Smyth 2010). Enumerated: the exact share, the identity among it.
        """
        return self._share(self.permuted)

    def two_sided_p_values(self) -> np.ndarray:
        """(K,) p-values of a correlation so far from 0 on either side; nan where it is."""
        both = replace(self, observed=np.abs(self.observed), permuted=np.abs(self.permuted))
        return both.p_values()

    def family_wise_p_values(self) -> np.ndarray:
        """(K,) p-values against the largest of all K statistics of each permutation.

        Controls the chance of any false finding among the K (Nichols & Holmes 2002).
        """
        finite = ~np.isnan(self.observed)
        if not finite.any():
            return self.observed.copy()
        largest = np.nanmax(self.permuted[:, finite], axis=1, keepdims=True)
        return self._share(np.broadcast_to(largest, self.permuted.shape))

    def _share(self, permuted: np.ndarray) -> np.ndarray:
        reached = (permuted >= self.observed - ROUNDING).sum(0)
        return share(reached, len(permuted), self.observed, self.permutations)

    def summary(self, k: int) -> dict[str, Any]:
        """Mean, standard deviation and quantiles of one null distribution, and how it was made.

        `possible` permutations are None where a JSON number could not hold them exactly.
        """
        values, possible = self.permuted[:, k], self.permutations.possible
        return {
            "mean": float(values.mean()),
            "sd": float(values.std()),
            "quantiles": {
                str(q): float(v)
                for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)
            },
            "permutations": len(values),
            "possible": possible if possible <= LARGEST else None,
            "enumerated": self.permutations.enumerated,
            "smallest_p": self.permutations.smallest_p,
        }


def mantel(fixed: Sequence[Rdm], moved: Rdm, permutations: Permutations) -> Null:
    """Spearman Mantel tests of K RDMs against one, with one stream of permutations.

    Args:
        fixed: K RDMs, or residuals of such.
        moved: the RDM whose labels are permuted; of the same N conditions.
        permutations: of N labels.

    Returns:
        The K rank correlations and their null distributions.
    """
    x, y = np.stack([rdm.ranks for rdm in fixed]), moved.ranks
    center, scale = _center_and_scale(x, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.where(scale > 0, (x @ y - center) / scale, np.nan)
        permuted = permuted_products(x, y, permutations)
        permuted -= center
        permuted /= scale
    return Null(observed, permuted, permutations)


def mantel_p_values(fixed: Sequence[Rdm], moved: Rdm, permutations: Permutations) -> np.ndarray:
    """(K,) p-values of `mantel`, for so many RDMs that their null distributions are too large."""
    observed, chunks = correlations(fixed, moved, permutations)
    reached, taken = np.zeros(len(fixed), dtype=int), 0
    for permuted in chunks:
        reached += (permuted >= observed[:, None] - ROUNDING).sum(1)
        taken += permuted.shape[1]
    return share(reached, taken, observed, permutations)


def correlations(
    fixed: Sequence[Rdm], moved: Rdm, permutations: Permutations
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """(K,) correlations of K RDMs with one, and (K, m) under m permutations at a time."""
    x, y = (_centered(ranks) for ranks in (np.stack([rdm.ranks for rdm in fixed]), moved.ranks))
    scale = np.sqrt((x * x).sum(1, dtype=np.float64) * (y * y).sum(dtype=np.float64))[:, None]

    def of(moved_y: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            rho: np.ndarray = (x @ moved_y) / scale
        return rho

    observed = np.where(scale > 0, of(y[:, None]), np.nan)[:, 0]
    return observed, map(of, relabeled(y, permutations, len(x)))


def _centered(ranks: np.ndarray) -> np.ndarray:
    """(..., pairs) doubled mid-ranks less their mean, whole numbers, of which products are exact.

    In single precision up to 369 pairs: no sum of products passes (pairs³ - pairs) / 3, the sum of
    the squares of ranks without ties, nor that 2²⁴, up to which whole numbers are exact.
    """
    n_pairs = ranks.shape[-1]
    exact = np.float32 if (n_pairs**3 - n_pairs) / 3 <= 2**24 else np.float64
    whole_numbers: np.ndarray = (ranks - (n_pairs + 1.0)).astype(exact)
    return whole_numbers


def relabeled(
    triangle: np.ndarray, permutations: Permutations, products: int = 1
) -> Iterator[np.ndarray]:
    """Yield (pairs, m) upper triangles of a matrix, relabeled by m permutations at a time.

    Args:
        triangle: (pairs,) of the matrix.
        permutations: of its labels.
        products: how many are made with each, so that these stay in the cache too.
    """
    n = permutations.n
    first, second = np.triu_indices(n, 1)
    table = square(triangle, n).reshape(-1).astype(triangle.dtype)
    for chunk in permutations.chunks(max(1, CHUNK_PAIRS // max(len(triangle), products))):
        labels = np.ascontiguousarray(chunk.T)
        yield table.take(labels[first] * n + labels[second], mode="clip")


def _center_and_scale(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """What to take off products of doubled ranks, and (K,) what to divide by, for correlations."""
    n_pairs = len(y)
    center = n_pairs * (n_pairs + 1.0) ** 2  # whole numbers, exact to some 100,000 pairs
    spread_x, spread_y = (x * x).sum(1) - center, (y * y).sum() - center
    return center, np.sqrt(spread_x * spread_y)


def share(
    reached: np.ndarray, taken: int, observed: np.ndarray, permutations: Permutations
) -> np.ndarray:
    """p-values, from how many of the taken permutations reach what was observed."""
    p = reached / taken if permutations.enumerated else (reached + 1) / (taken + 1)
    return np.where(np.isnan(observed), np.nan, p)


def partial_mantel(
    fixed: Rdm, moved: Rdm, covariates: Sequence[Rdm], permutations: Permutations
) -> Null:
    """Partial Mantel test on ranks, with any number of covariate RDMs.

    The labels of `moved` are permuted and its partial correlation with `fixed` is computed anew
    (Smouse, Long & Sokal 1986; the scheme of vegan's mantel.partial). Where both matrices are
    spatially structured beyond the covariates its p-values are too small (Guillot & Rousset,
    Methods Ecol. Evol. 4, 2013).

    Args:
        fixed, moved: RDMs of the same N conditions.
        covariates: RDMs of them, at least one.
        permutations: of N labels.
    """
    x, y = fixed.ranks, moved.ranks
    basis = orthonormal_basis([rdm.ranks for rdm in covariates], len(x))
    x_rest = x - basis @ (basis.T @ x)
    y = y - y.mean()
    inner = np.vstack([x_rest, basis.T])
    norm_x, norm_y = x_rest @ x_rest, y @ y
    varies = norm_x > _ROUNDED * ((x - x.mean()) ** 2).sum()

    def partial(products: np.ndarray) -> np.ndarray:
        rest = norm_y - (products[:, 1:] ** 2).sum(1)
        there = varies & (rest > _ROUNDED * norm_y)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(there, products[:, 0] / np.sqrt(norm_x * rest), np.nan)

    observed = partial((inner @ y)[None, :])
    permuted = partial(permuted_products(inner, y, permutations))
    return Null(observed, np.nan_to_num(permuted, nan=-1.0)[:, None], permutations)


def orthonormal_basis(covariates: Sequence[np.ndarray], n: int) -> np.ndarray:
    """(n, r) orthonormal columns that span the intercept and the covariates.

    Raises:
        ValueError: a value that is not finite, which least squares would spread everywhere.
    """
    design = np.column_stack([np.ones(n), *covariates]).astype(np.float64)
    if not np.isfinite(design).all():
        raise ValueError("a covariate holds a value that is not a finite number")
    centered = design - np.column_stack([np.zeros(n), design[:, 1:].mean(0) * np.ones((n, 1))])
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    basis: np.ndarray = left[:, sizes > 1e-10 * sizes[0]]
    return basis


def permuted_products(
    fixed: np.ndarray, moved: np.ndarray, permutations: Permutations
) -> np.ndarray:
    """(B, K) inner products of K fixed upper triangles with a relabeled one.

    Args:
        fixed: (K, pairs).
        moved: (pairs,) upper triangle of the matrix that is relabeled.
        permutations: B of them. Memory is bounded: permutations are taken in chunks.
    """
    n = permutations.n
    table = square(moved, n).reshape(-1)
    ends = np.cumsum(np.arange(n - 1, 0, -1))[:-1]
    rows = [np.ascontiguousarray(row) for row in np.split(fixed, ends, axis=1)]
    products = []
    for chunk in permutations.chunks(max(1, CHUNK_LABELS // n)):
        labels = np.ascontiguousarray(chunk.T)
        places = labels * n
        sums = np.zeros((len(fixed), len(chunk)))
        for i, row in enumerate(rows):
            sums += row @ table.take(places[i] + labels[i + 1 :], mode="clip")
        products.append(sums.T)
    return np.concatenate(products)
