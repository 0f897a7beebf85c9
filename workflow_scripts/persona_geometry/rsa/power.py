"""What the stratified Mantel test could have found.

The test permutes personas within their clusters. With few clustered personas its p-value may be
large because nothing is there, or because little could be seen; a simulation tells which.

**Effect size.** Whole rows and columns move, so besides the pairs within a cluster every pair with
one clustered member moves too. Averaged over all admissible permutations a matrix of ranks becomes
the matrix of its block means (a block: all pairs between two clusters, or within one; a persona
without a cluster is a cluster of its own). Block means therefore add the same to the statistic
under every permutation, and the test is one of the correlation of what remains: the ranks less
their block means, over the pairs that move. That is `within_cluster_correlation`.

**What is planted.** The cosine distances are embedded as points (Gower 1966). In the simulated
divergence geometry cluster centers and unclustered personas stay where they are; each clustered
persona is set off from its center by r times its own offset plus sqrt(1 - r^2) times a random one,
Gaussian in the directions in which members differ from their centers and as wide as its cluster.
At r = 0 members of a cluster are exchangeable and only cluster structure is shared; at r = 1 both
geometries are the same. Offsets belong to personas, so errors of pairs that share a persona are
dependent, as they are in real matrices; errors drawn pair by pair would flatter the test.
"""

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks, vectorize
from persona_geometry.rsa.permutation import LARGEST, Null, Permutations, relabeled
from persona_geometry.rsa.significance import LEVEL, significant

TARGET = 0.8
_PLANTED = np.linspace(0, 1, 11)
_SAMPLED = 999
_SIMULATED_PAIRS = 4_000_000


def stratified_power(
    cosine: Rdm,
    strata: Sequence[Hashable | None],
    seed: int,
    *,
    divergence: Rdm | None = None,
    permutations: int = 10_000,
    p: float | None = None,
) -> dict[str, Any]:
    """Power of the Mantel test that permutes labels within strata.

    Args:
        cosine: cosine distances of N personas.
        strata: the cluster of each persona; None, or a cluster of one, stays in place.
        seed: of the simulation.
        divergence: their divergences, to set the observed effect beside the detectable one.
        permutations: up to so many admissible permutations the test enumerates all of them, and
            beyond draws so many.
        p: that the test gave, to say whether it found what was there; None where it is not known.

    Returns:
        `n_admissible` permutations (the identity included; None beyond 2^53), `smallest_p` the
        test can give,
        `within_pairs` and `moving_pairs`, `power_curve` (`planted` r, `rho` the mean within-cluster
        correlation it makes, `power` at the 0.05 level), `detectable_rho` (the within-cluster
        correlation found with 80 % power, None where none is), `observed_rho` (None without
        `divergence`), `simulations` at each r, and `statement`, a sentence or two for a report.
    """
    test = Permutations.within(strata, permutations, seed)
    varies = within_cluster_correlation(cosine, cosine, strata) is not None
    curve: list[dict[str, float]] = []
    simulations = int(np.clip(_SIMULATED_PAIRS // (len(_PLANTED) * test.n**2 // 2), 50, 500))
    if significant(test.smallest_p) and varies:
        sampled = Permutations(test.n, test.groups, min(permutations, _SAMPLED), seed)
        curve = _power_curve(
            cosine, test if test.enumerated else sampled, simulations, np.random.default_rng(seed)
        )
    result = {
        "n_admissible": test.possible if test.possible <= LARGEST else None,
        "smallest_p": test.smallest_p,
        "within_pairs": sum(len(group) * (len(group) - 1) // 2 for group in test.groups),
        "moving_pairs": int(_Blocks(test).moving.sum()),
        "detectable_rho": _crossing(curve),
        "observed_rho": None
        if divergence is None
        else within_cluster_correlation(cosine, divergence, strata),
        "power_curve": curve,
        "simulations": simulations if curve else 0,
    }
    return result | {"statement": statement(result, p)}


def within_cluster_correlation(
    cosine: Rdm, divergence: Rdm, strata: Sequence[Hashable | None]
) -> float | None:
    """Correlation of the ranks of two RDMs less their block means, in [-1, 1].

    It runs over the pairs that move under permutations within strata, and is None where none
    does or where one side does not vary within blocks.
    """
    blocks = _Blocks(Permutations.within(strata, 0, 0))
    rho = float(blocks.correlations(cosine.ranks, divergence.ranks))
    return rho if np.isfinite(rho) else None


class _Blocks:
    """The blocks of pairs that permutations mix, and what ranks have beyond their block's mean."""

    def __init__(self, permutations: Permutations) -> None:
        n = permutations.n
        label, moves = np.arange(n), np.zeros(n, dtype=bool)
        for group in permutations.groups:
            label[list(group)] = group[0]
            moves[list(group)] = True
        first, second = np.triu_indices(n, 1)
        self.moving = moves[first] | moves[second]
        one, other = np.sort([label[first], label[second]], axis=0)[:, self.moving]
        self._block = np.unique(one * n + other, return_inverse=True)[1]
        self._order = np.argsort(self._block, kind="stable")
        self._size = np.bincount(self._block)
        self._start = np.cumsum(self._size) - self._size

    def deviations(self, ranks: np.ndarray) -> np.ndarray:
        """(..., moving pairs) ranks less the mean of their block, from (..., pairs) ranks."""
        ranks = ranks[..., self.moving]
        means = np.add.reduceat(ranks[..., self._order], self._start, axis=-1) / self._size
        return ranks - means[..., self._block]

    def correlations(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(...) correlations of the deviations of (pairs,) and (..., pairs) ranks, or nan."""
        if not self.moving.any():
            return np.full(y.shape[:-1], np.nan)
        x, y = self.deviations(x), self.deviations(y)
        with np.errstate(invalid="ignore", divide="ignore"):
            rho: np.ndarray = (y @ x) / np.sqrt((x @ x) * (y**2).sum(axis=-1))
        return rho


def _power_curve(
    cosine: Rdm, test: Permutations, simulations: int, stream: np.random.Generator
) -> list[dict[str, float]]:
    points = _points(cosine.square)
    offsets = np.zeros_like(points)
    for group in map(list, test.groups):
        offsets[group] = points[group] - points[group].mean(axis=0)
    random_offsets = _random_offsets(offsets, test, simulations, stream)
    simulated = (
        points - offsets + planted * offsets + np.sqrt(1 - planted**2) * random_offsets
        for planted in _PLANTED
    )
    observed = cosine.ranks
    ranks = np.concatenate([doubled_ranks(vectorize(_squared_distances(of))) for of in simulated])
    permuted = np.concatenate([(ranks @ moved).T for moved in relabeled(observed, test)])
    p = Null(ranks @ observed, permuted, test).p_values().reshape(len(_PLANTED), simulations)
    rho = np.nan_to_num(_Blocks(test).correlations(observed, ranks)).reshape(p.shape)
    return [
        {"planted": float(planted), "rho": float(r.mean()), "power": float(np.mean(significant(q)))}
        for planted, r, q in zip(_PLANTED, rho, p, strict=True)
    ]


def _points(distances: np.ndarray) -> np.ndarray:
    """(N, N) coordinates whose squared distances are proportional to the given ones."""
    n = len(distances)
    centering = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centering @ distances @ centering)
    points: np.ndarray = vectors * np.sqrt(np.maximum(values, 0))
    return points


def _squared_distances(points: np.ndarray) -> np.ndarray:
    inner = points @ points.transpose(0, 2, 1)
    norms = np.einsum("sii->si", inner)
    squared: np.ndarray = norms[:, :, None] + norms[:, None, :] - 2 * inner
    return squared


def _random_offsets(
    offsets: np.ndarray, test: Permutations, simulations: int, stream: np.random.Generator
) -> np.ndarray:
    """(S, N, N) Gaussian offsets in the span of the given ones, as wide as those of each group."""
    drawn = np.zeros((simulations, *offsets.shape))
    pooled = offsets[np.concatenate(test.groups)]
    for group in map(list, test.groups):
        raw = stream.standard_normal((simulations, len(group), len(pooled))) @ pooled
        raw -= raw.mean(axis=1, keepdims=True)
        expected = (len(group) - 1) * (pooled**2).sum()
        drawn[:, group] = raw * np.sqrt((offsets[group] ** 2).sum() / expected)
    return drawn


def _crossing(curve: list[dict[str, float]]) -> float | None:
    """The correlation at which power first reaches the target, between points of the curve."""
    for low, high in pairwise(curve):
        if high["power"] >= TARGET:
            step = (TARGET - low["power"]) / (high["power"] - low["power"])
            return float(low["rho"] + step * (high["rho"] - low["rho"]))
    return None


def statement(result: dict[str, Any], p: float | None) -> str:
    """What the test could see and did see, in words.

    Args:
        result: of `stratified_power`.
        p: of the test, or None.
    """
    if not significant(result["smallest_p"]):
        return (
            f"The p of the stratified test cannot fall below {result['smallest_p']:.2g} "
            f"(admissible permutations: {result['n_admissible']}): it cannot tell, whatever the "
            f"data."
        )
    detectable, observed = result["detectable_rho"], result["observed_rho"]
    scope = (
        f"The stratified test sees {result['moving_pairs']} pairs, {result['within_pairs']} of "
        f"them within clusters."
    )
    if not result["power_curve"]:
        return f"{scope} The cosine distances do not vary within them: it cannot tell."
    found = None if p is None else significant(p)
    if detectable is None:
        ability = f"Even identical geometries are found with less than {TARGET:.0%} power"
        if found and observed is not None and observed > 0:
            return f"{scope} {ability}; the observed {observed:.2f} was found all the same."
        return f"{scope} {ability}: a p above {LEVEL:g} cannot tell an agreement from none."
    digits = 2 if observed is None else _digits_apart(observed, detectable)
    ability = (
        f"A within-cluster correlation of {detectable:.{digits}f} or more is found with "
        f"{TARGET:.0%} power at {LEVEL:g}"
    )
    weaker = observed is None or observed < detectable
    return f"{scope} {ability}{_seen(found, observed, digits, weaker=weaker)}"


def _seen(found: bool | None, observed: float | None, digits: int, *, weaker: bool) -> str:
    """The end of the sentence: what was observed, beside what would have been seen."""
    if observed is None:
        return "; a larger p does not speak against a weaker one."
    value = f"{observed:.{digits}f}"
    if found and observed > 0:
        return f"; the observed {value} was found" + (", though it is weaker." if weaker else ".")
    if found:
        return f"; the observed {value} is not positive, although p is {LEVEL:g} or less."
    if observed <= 0:
        return f"; the observed {value} is not positive, so there is nothing that it missed."
    if weaker:
        return (
            f"; the observed {value} is weaker, and a p above {LEVEL:g} cannot tell such an "
            f"agreement from none."
        )
    if found is None:
        return f"; the observed {value} is within its reach."
    return f"; the observed {value} is as strong and was not found all the same."


def _digits_apart(one: float, other: float) -> int:
    """Decimals, at least two, with which two numbers are written so that they differ."""
    return next((d for d in range(2, 17) if f"{one:.{d}f}" != f"{other:.{d}f}"), 2)
