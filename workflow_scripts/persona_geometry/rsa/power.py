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
from itertools import pairwise, product
from itertools import permutations as arrangements
from math import factorial, prod

import numpy as np
from scipy.stats import rankdata

LEVEL = 0.05
TARGET = 0.8
_PLANTED = np.linspace(0, 1, 11)
_SAMPLED = 999
_SIMULATED_RANKS = 4_000_000


def stratified_power(
    cosine: np.ndarray,
    strata: Sequence[Hashable | None],
    seed: int,
    *,
    js: np.ndarray | None = None,
    permutations: int = 10_000,
) -> dict:
    """Power of the Mantel test that permutes labels within strata.

    Args:
        cosine: (N, N) cosine distances.
        strata: the cluster of each persona; None, or a cluster of one, stays in place.
        seed: of the simulation.
        js: (N, N) divergences, to set the observed effect beside the detectable one.
        permutations: up to so many admissible permutations the test enumerates all of them, and
            beyond draws so many.

    Returns:
        `n_admissible` permutations (the identity included), `smallest_p` the test can give,
        `within_pairs` and `moving_pairs`, `power_curve` (`planted` r, `rho` the mean within-cluster
        correlation it makes, `power` at the 0.05 level), `detectable_rho` (the within-cluster
        correlation found with 80 % power, None where none is), `observed_rho` (None without
        `js`), `simulations` at each r, and `statement`, a sentence or two for a report.
    """
    groups = _groups(strata)
    n_admissible = prod(factorial(len(group)) for group in groups)
    exhaustive = n_admissible <= permutations
    smallest_p = 1 / n_admissible if exhaustive else 1 / (permutations + 1)
    result = {
        "n_admissible": n_admissible,
        "smallest_p": smallest_p,
        "within_pairs": sum(len(group) * (len(group) - 1) // 2 for group in groups),
        "moving_pairs": int(_moving(groups, len(cosine)).sum()),
        "detectable_rho": None,
        "observed_rho": None if js is None else within_cluster_correlation(cosine, js, strata),
        "power_curve": [],
        "simulations": 0,
    }
    varies = within_cluster_correlation(cosine, cosine, strata) is not None
    if smallest_p <= LEVEL and varies:
        stream = np.random.default_rng(seed)
        moves = _all_moves(groups, len(cosine)) if exhaustive else None
        if moves is None:
            moves = _random_moves(groups, len(cosine), min(permutations, _SAMPLED), stream)
        result["power_curve"], result["simulations"] = _power_curve(cosine, groups, moves, stream)
        result["detectable_rho"] = _crossing(result["power_curve"])
    result["statement"] = _statement(result)
    return result


def within_cluster_correlation(
    cosine: np.ndarray, js: np.ndarray, strata: Sequence[Hashable | None]
) -> float | None:
    """Correlation of the ranks of two (N, N) matrices less their block means, in [-1, 1].

    It runs over the pairs that move under permutations within strata, and is None where none
    does or where one side does not vary within blocks.
    """
    groups = _groups(strata)
    centering = _Blocks(groups, len(cosine))
    if not centering.moving.any():
        return None
    upper = np.triu_indices(len(cosine), 1)
    x, y = (centering.deviations(rankdata(m[upper])[centering.moving][None]) for m in (cosine, js))
    rho = float(_row_correlations(x, y)[0])
    return rho if np.isfinite(rho) else None


class _Blocks:
    """Removal of block means from the moving pairs of an upper triangle."""

    def __init__(self, groups: list[np.ndarray], n: int) -> None:
        self.moving = _moving(groups, n)
        label = np.arange(n)
        for group in groups:
            label[group] = group[0]
        first, second = np.triu_indices(n, 1)
        one, other = np.sort([label[first], label[second]], axis=0)[:, self.moving]
        _, self._block = np.unique(one * n + other, return_inverse=True)
        self._size = np.bincount(self._block)

    def deviations(self, ranks: np.ndarray) -> np.ndarray:
        """(S, moving pairs) ranks less the mean of their block."""
        order = np.argsort(self._block, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self._size)[:-1]])
        means = np.add.reduceat(ranks[:, order], starts, axis=1) / self._size
        return ranks - means[:, self._block]


def _power_curve(
    cosine: np.ndarray, groups: list[np.ndarray], moves: np.ndarray, stream: np.random.Generator
) -> tuple[list[dict[str, float]], int]:
    n = len(cosine)
    upper = np.triu_indices(n, 1)
    blocks = _Blocks(groups, n)
    ranks = np.zeros((n, n))
    ranks[upper] = rankdata(cosine[upper])
    ranks += ranks.T
    first, second = (side[blocks.moving] for side in upper)
    observed = ranks[first, second]
    permuted = ranks[moves[:, first], moves[:, second]]
    deviations = blocks.deviations(observed[None])

    points = _points(cosine)
    offsets = np.zeros((n, n))
    for group in groups:
        offsets[group] = points[group] - points[group].mean(axis=0)
    centers = points - offsets
    simulations = int(np.clip(_SIMULATED_RANKS // (len(_PLANTED) * len(upper[0])), 50, 500))
    random_offsets = _random_offsets(offsets, groups, simulations, stream)

    curve = []
    for planted in _PLANTED:
        placed = centers + planted * offsets + np.sqrt(1 - planted**2) * random_offsets
        inner = placed @ placed.transpose(0, 2, 1)
        norms = np.einsum("sii->si", inner)
        squared = norms[:, :, None] + norms[:, None, :] - 2 * inner
        simulated = rankdata(squared[:, upper[0], upper[1]], axis=1)[:, blocks.moving]
        p = _p_values(observed, permuted, simulated)
        rho = _row_correlations(deviations, blocks.deviations(simulated))
        curve.append(
            {
                "planted": float(planted),
                "rho": float(np.nanmean(rho)),
                "power": float(np.mean(p <= LEVEL)),
            }
        )
    return curve, simulations


def _p_values(observed: np.ndarray, permuted: np.ndarray, simulated: np.ndarray) -> np.ndarray:
    """(S,) upper-tail p-values, from (P,) ranks, (B, P) permuted ones and (S, P) of the other side.

    Sums of products of mid-ranks are multiples of a quarter, exact in floating point: ties tie.
    """
    reached = permuted @ simulated.T >= simulated @ observed
    return (reached.sum(axis=0) + 1) / (len(permuted) + 1)


def _points(distances: np.ndarray) -> np.ndarray:
    """(N, N) coordinates whose squared distances are proportional to the given ones."""
    n = len(distances)
    centering = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centering @ distances @ centering)
    return vectors * np.sqrt(np.maximum(values, 0))


def _random_offsets(
    offsets: np.ndarray, groups: list[np.ndarray], simulations: int, stream: np.random.Generator
) -> np.ndarray:
    """(S, N, N) Gaussian offsets in the span of the given ones, as wide as those of each group."""
    drawn = np.zeros((simulations, *offsets.shape))
    pooled = offsets[np.concatenate(groups)]
    for group in groups:
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
            return float(low["rho"] + max(step, 0.0) * (high["rho"] - low["rho"]))
    return None


def _statement(result: dict) -> str:
    if result["smallest_p"] > LEVEL:
        return (
            f"The p of the stratified test cannot fall below {result['smallest_p']:.2g} "
            f"(admissible permutations: {result['n_admissible']}): it cannot tell, whatever the "
            f"data."
        )
    scope = (
        f"The stratified test sees {result['moving_pairs']} pairs, {result['within_pairs']} of "
        f"them within clusters; its smallest p is {result['smallest_p']:.2g}."
    )
    detectable, observed = result["detectable_rho"], result["observed_rho"]
    if detectable is None:
        return f"{scope} Even identical geometries would be missed too often: it cannot tell."
    ability = (
        f"A within-cluster correlation of {detectable:.2f} or more is found with "
        f"{TARGET:.0%} power at {LEVEL:g}"
    )
    if observed is None:
        return f"{scope} {ability}; a larger p does not speak against a weaker one."
    if observed >= detectable:
        return f"{scope} {ability}; the observed {observed:.2f} is within its reach."
    return (
        f"{scope} {ability}; the observed {observed:.2f} is weaker, and a p above {LEVEL:g} cannot "
        f"tell such an agreement from none."
    )


def _groups(strata: Sequence[Hashable | None]) -> list[np.ndarray]:
    """Members of each stratum that can move."""
    members: dict[Hashable, list[int]] = {}
    for position, stratum in enumerate(strata):
        if stratum is not None:
            members.setdefault(stratum, []).append(position)
    return [np.array(group) for group in members.values() if len(group) > 1]


def _moving(groups: list[np.ndarray], n: int) -> np.ndarray:
    moves = np.zeros(n, dtype=bool)
    for group in groups:
        moves[group] = True
    first, second = np.triu_indices(n, 1)
    return moves[first] | moves[second]


def _all_moves(groups: list[np.ndarray], n: int) -> np.ndarray:
    """Every admissible permutation but the identity."""
    moves = np.tile(np.arange(n), (prod(factorial(len(group)) for group in groups), 1))
    for row, choice in zip(moves, product(*(arrangements(group) for group in groups)), strict=True):
        for group, arrangement in zip(groups, choice, strict=True):
            row[group] = arrangement
    return moves[1:]


def _random_moves(
    groups: list[np.ndarray], n: int, count: int, stream: np.random.Generator
) -> np.ndarray:
    moves = np.tile(np.arange(n), (count, 1))
    for group in groups:
        moves[:, group] = stream.permuted(moves[:, group], axis=1)
    return moves


def _row_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
