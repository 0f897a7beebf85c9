"""The power of the stratified test against enumeration, a slow simulation and limiting cases."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from named import named
from scipy.stats import rankdata, spearmanr

from persona_geometry.rsa import power, significance
from persona_geometry.rsa.permutation import Permutations, mantel
from persona_geometry.rsa.power import stratified_power, within_cluster_correlation

CLUSTERS = ["a"] * 4 + ["b"] * 3 + ["c"] * 2 + [None] * 5


def clustered(seed: int, strata: list, spread: float = 0.6, dimensions: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((len(strata), dimensions))
    for stratum in sorted(set(strata) - {None}):  # sets have no order of their own
        members = [i for i, s in enumerate(strata) if s == stratum]
        points[members] = rng.standard_normal(dimensions) + spread * points[members]
    return ((points[:, None] - points) ** 2).sum(-1) / 2


def admissible(strata: list) -> list[np.ndarray]:
    return [
        np.array(order)
        for order in permutations(range(len(strata)))
        if all(
            i == j or (strata[i] is not None and strata[i] == strata[j])
            for i, j in enumerate(order)
        )
    ]


def test_counts_of_the_study_design() -> None:
    """Clusters of 4, 3, 2 and 2 among 19: 576 permutations, 11 pairs within, 28 that stay."""
    strata = ["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"] * 2 + [None] * 8
    result = stratified_power(named(clustered(0, strata)), strata, 0)
    assert result["n_admissible"] == 576
    assert result["smallest_p"] == 1 / 576
    assert result["within_pairs"] == 11
    assert result["moving_pairs"] == 171 - 28


def test_sampling_replaces_enumeration_beyond_the_limit() -> None:
    distances = clustered(0, CLUSTERS)
    assert (
        stratified_power(named(distances), CLUSTERS, 0, permutations=288)["smallest_p"] == 1 / 288
    )
    sampled = stratified_power(named(distances), CLUSTERS, 0, permutations=287)
    assert sampled["smallest_p"] == 1 / 288 and sampled["n_admissible"] == 288
    every = stratified_power(named(distances), CLUSTERS, 0)
    assert sampled["detectable_rho"] == pytest.approx(every["detectable_rho"], abs=0.08)


def test_power_is_that_of_the_test_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The p-values behind the curve are those of `mantel`, and of moving rows and columns."""
    strata = ["a"] * 3 + ["b"] * 2 + [None] * 2
    x = clustered(1, strata)
    seen = {}

    def watched(points: np.ndarray) -> np.ndarray:
        seen.setdefault("simulated", []).append(squared(points))
        return seen["simulated"][-1]

    squared = power._squared_distances
    monkeypatch.setattr(power, "_squared_distances", watched)
    monkeypatch.setattr(significance, "LEVEL", 0.2)
    curve = stratified_power(named(x), strata, 0)["power_curve"]
    test = Permutations.within(strata, 100, 0)
    pairs, moves = np.triu_indices(7, 1), admissible(strata)
    assert len(moves) == 12
    for k in (0, 3, 9):
        simulated = seen["simulated"][k]
        p = mantel([named(one) for one in simulated], named(x), test).p_values()
        assert curve[k]["power"] == np.mean(p <= 0.2)
        y = simulated[7][pairs]
        rho = np.array([spearmanr(x[np.ix_(m, m)][pairs], y).statistic for m in moves])
        assert p[7] == pytest.approx(np.mean(rho >= spearmanr(x[pairs], y).statistic - 1e-9))


def test_block_means_are_what_permutations_leave() -> None:
    """The mean of a matrix over all admissible permutations is the matrix of its block means."""
    strata = ["a"] * 3 + ["b"] * 2 + [None] * 2
    upper = np.triu_indices(7, 1)
    x = np.zeros((7, 7))
    x[upper] = 2 * rankdata(clustered(4, strata)[upper])
    x += x.T
    moves = admissible(strata)
    averaged = np.mean([x[np.ix_(m, m)] for m in moves], axis=0)[upper]
    blocks = power._Blocks(Permutations.within(strata, 0, 0))
    left = blocks.deviations(x[upper])
    np.testing.assert_allclose(left, (x[upper] - averaged)[blocks.moving], atol=1e-9)
    np.testing.assert_allclose(averaged[~blocks.moving], x[upper][~blocks.moving])


def test_within_cluster_correlation_orders_the_permutations_as_the_full_one() -> None:
    """The test on all pairs and the test on block-centered ranks have the same p-value."""
    strata = ["a"] * 4 + ["b"] * 2 + [None] * 3
    x, y = clustered(5, strata), clustered(6, strata)
    upper = np.triu_indices(9, 1)
    whole, centered = [], []
    for move in next(Permutations.within(strata, 100, 0).chunks(100)):
        moved = x[np.ix_(move, move)]
        whole.append(spearmanr(moved[upper], y[upper]).statistic)
        centered.append(within_cluster_correlation(named(moved), named(y), strata))
    assert spearmanr(whole, centered).statistic == pytest.approx(1)
    assert within_cluster_correlation(named(x), named(x**3), strata) == pytest.approx(1)
    assert within_cluster_correlation(named(x), named(y), [None] * 9) is None
    assert within_cluster_correlation(named(x), named(np.ones_like(x)), strata) is None


def test_curve_starts_at_the_level_and_ends_in_certainty() -> None:
    starts = []
    for seed in range(8):
        curve = stratified_power(named(clustered(seed, CLUSTERS)), CLUSTERS, seed)["power_curve"]
        starts.append(curve[0]["power"])
        assert abs(curve[0]["rho"]) < 0.12
        assert curve[-1]["power"] == 1 and curve[-1]["rho"] == pytest.approx(1)
        assert all(a["rho"] < b["rho"] for a, b in pairwise(curve))
        assert all(a["power"] <= b["power"] + 0.08 for a, b in pairwise(curve))
    # 14 of 288 permutations: 8 times 500 simulations leave a standard error of 0.0035.
    assert np.mean(starts) == pytest.approx(14 / 288, abs=0.012)


def test_power_agrees_with_a_slow_simulation() -> None:
    strata = ["a"] * 4 + ["b"] * 3 + [None] * 3
    distances = clustered(3, strata)
    curve = stratified_power(named(distances), strata, 0)["power_curve"]
    rng = np.random.default_rng(1)
    n = len(strata)
    centering = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centering @ distances @ centering)
    points = vectors[:, values > 1e-9] * np.sqrt(values[values > 1e-9])
    members = [np.arange(4), np.arange(4, 7)]
    within = next(Permutations.within(strata, 200, 0).chunks(200))
    offsets = [points[m] - points[m].mean(axis=0) for m in members]
    cov = np.cov(np.concatenate(offsets).T, ddof=0)
    upper = np.triu_indices(n, 1)
    ranks = np.zeros((n, n))
    ranks[upper] = rankdata(distances[upper])
    ranks += ranks.T
    permuted = np.array([ranks[np.ix_(m, m)][upper] for m in [np.arange(n), *within]])
    for planted in (0.4, 0.8):
        found = 0
        for _ in range(400):
            placed = points.copy()
            for m, e in zip(members, offsets, strict=True):
                noise = rng.multivariate_normal(np.zeros(len(cov)), cov, size=len(m))
                noise -= noise.mean(axis=0)
                noise *= np.sqrt((e**2).sum() / (np.trace(cov) * (len(m) - 1)))
                placed[m] = points[m].mean(axis=0) + planted * e + np.sqrt(1 - planted**2) * noise
            simulated = rankdata(np.linalg.norm(placed[:, None] - placed, axis=-1)[upper])
            statistic = permuted @ simulated
            found += np.mean(statistic >= statistic[0] - 1e-6) <= 0.05
        assert curve[round(planted * 10)]["power"] == pytest.approx(found / 400, abs=0.09)


def test_detectable_correlation_is_read_off_between_points_of_the_curve() -> None:
    points = [(0.0, 0.05), (0.2, 0.3), (0.4, 0.7), (0.8, 0.9), (1.0, 0.85)]
    curve = [{"rho": rho, "power": found} for rho, found in points]
    assert power._crossing(curve) == pytest.approx(0.6)
    assert power._crossing(curve[:3]) is None
    assert power._crossing([]) is None


def test_random_offsets_are_centered_and_as_wide_as_those_of_their_cluster() -> None:
    strata = ["a"] * 4 + [None] + ["b"] * 3
    rng = np.random.default_rng(0)
    offsets = np.zeros((8, 8))
    for group, width in (([0, 1, 2, 3], 1.0), ([5, 6, 7], 3.0)):
        offsets[group, :2] = width * rng.standard_normal((len(group), 2))
        offsets[group] -= offsets[group].mean(axis=0)
    test = Permutations.within(strata, 1000, 0)
    drawn = power._random_offsets(offsets, test, 4000, rng)
    assert not drawn[:, 4].any() and not drawn[:, :, 2:].any()
    for group in test.groups:
        members = drawn[:, list(group)]
        np.testing.assert_allclose(members.sum(axis=1), 0, atol=1e-9)
        wanted = (offsets[list(group)] ** 2).sum()
        assert (members**2).sum(axis=(1, 2)).mean() == pytest.approx(wanted, rel=0.05)


def test_simulation_draws_no_more_permutations_than_the_test() -> None:
    distances = clustered(0, CLUSTERS)
    few, more = (
        stratified_power(named(distances), CLUSTERS, 0, permutations=count) for count in (19, 100)
    )
    assert few["smallest_p"] == 0.05 and more["smallest_p"] == 1 / 101
    assert few["power_curve"] != more["power_curve"]


def test_more_clustered_personas_detect_weaker_agreement() -> None:
    few = ["a"] * 4 + [None] * 10
    many = ["a"] * 4 + ["b"] * 5 + ["c"] * 5
    weak = stratified_power(named(clustered(7, few)), few, 0)["detectable_rho"]
    strong = stratified_power(named(clustered(7, many)), many, 0)["detectable_rho"]
    assert strong < weak - 0.1


def test_a_test_that_cannot_reach_the_level_says_so() -> None:
    strata = ["a"] * 3 + ["b"] * 2 + [None] * 9
    result = stratified_power(
        named(clustered(0, strata)), strata, 0, divergence=named(clustered(1, strata))
    )
    assert result["n_admissible"] == 12 and result["detectable_rho"] is None
    assert "cannot tell" in result["statement"] and "0.083" in result["statement"]
    alone = stratified_power(named(clustered(0, [None] * 6)), [None] * 6, 0)
    assert alone["n_admissible"] == 1 and alone["smallest_p"] == 1
    assert alone["within_pairs"] == 0 and alone["moving_pairs"] == 0


def test_distances_without_variation_leave_nothing_to_detect() -> None:
    result = stratified_power(named(np.ones((14, 14))), CLUSTERS, 0)
    assert result["power_curve"] == [] and result["detectable_rho"] is None
    assert "cannot tell" in result["statement"]


def test_statement_tells_no_signal_from_cannot_tell() -> None:
    distances, other, weaker = (clustered(seed, CLUSTERS) for seed in (0, 55, 53))
    plain = stratified_power(named(distances), CLUSTERS, 0)
    assert f"{plain['detectable_rho']:.2f} or more is found with 80%" in plain["statement"]
    same = stratified_power(named(distances), CLUSTERS, 0, divergence=named(distances))
    assert same["observed_rho"] == pytest.approx(1) and "within its reach" in same["statement"]
    unlike = stratified_power(named(distances), CLUSTERS, 0, divergence=named(other))
    assert unlike["observed_rho"] < 0 and "is not positive" in unlike["statement"]
    weak = stratified_power(named(distances), CLUSTERS, 0, divergence=named(weaker))
    assert 0 < weak["observed_rho"] < weak["detectable_rho"]
    assert "cannot tell" in weak["statement"]


def test_integer_strata_and_seed() -> None:
    distances = clustered(0, CLUSTERS)
    numbers = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7]
    lettered = stratified_power(named(distances), CLUSTERS, 4)
    assert stratified_power(named(distances), numbers, 4) == lettered
    assert stratified_power(named(distances), numbers, 5) != lettered
