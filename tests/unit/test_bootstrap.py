"""Bootstrap intervals against rsatoolbox, plain resampling and known variances."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from named import named, stacked
from scipy.stats import spearmanr

from persona_geometry.rsa import bootstrap
from persona_geometry.rsa.bootstrap import (
    dual_variance,
    multiplicities,
    pair_weights,
    resampled_correlations,
    weighted_spearman,
)
from persona_geometry.rsa.intervals import NO_SPREAD, Spread, bounded_t_interval
from persona_geometry.rsa.prompt_centroids import weighted_cosine_distances

FIXTURE = Path(__file__).parents[1] / "fixtures" / "rsatoolbox.json"


def bootstrap_intervals(
    vectors: np.ndarray | None,
    cosine: np.ndarray,
    js: np.ndarray,
    n: int,
    seed: int,
    clusters: tuple[str, ...] = (),
) -> dict:
    """Intervals of (N, N) cosine distances, and divergences (N, N) or, by prompt, (Q, N, N)."""
    by_prompt = stacked(js) if js.ndim == 3 else None
    mean = by_prompt.mean() if by_prompt else named(js)
    return bootstrap.bootstrap_intervals(vectors, named(cosine), mean, by_prompt, n, seed, clusters)


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads(FIXTURE.read_text())


def counts_of(draws: list[list[int]]) -> np.ndarray:
    return np.array([[Counter(row)[k] for k in range(len(row))] for row in draws], dtype=float)


def geometries(seed: int, personas: int = 9, prompts: int = 7, width: int = 6) -> tuple:
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((personas, 3))
    vectors = (
        1.0
        + np.pad(latent, ((0, 0), (0, width - 3)))
        + 0.4 * rng.standard_normal((prompts, personas, width))
    )
    js = np.abs(latent[:, None] - latent).sum(-1) + 0.5 * rng.random((prompts, personas, personas))
    js = np.triu(js, 1) + np.triu(js, 1).transpose(0, 2, 1)
    return vectors, cosine_distances(vectors), js


def cosine_distances(vectors: np.ndarray) -> np.ndarray:
    centroids = vectors.mean(axis=0)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return 1 - centroids @ centroids.T


@pytest.mark.parametrize("varied", ["both", "prompts", "personas"])
def test_resampled_correlations_equal_those_of_rsatoolbox(record: dict, varied: str) -> None:
    vectors, js = np.array(record["vectors"]), np.array(record["js"])
    prompt_counts = counts_of(record["prompt_draws"])
    persona_counts = counts_of(record["persona_draws"])
    if varied == "prompts":
        persona_counts = np.ones_like(persona_counts)
    if varied == "personas":
        prompt_counts = np.ones_like(prompt_counts)
    upper = np.triu_indices(vectors.shape[1], 1)
    rho = resampled_correlations(
        weighted_cosine_distances(vectors, prompt_counts),
        prompt_counts @ js[:, upper[0], upper[1]] / len(js),
        persona_counts,
    )
    np.testing.assert_allclose(rho, record["resampled"][varied], rtol=0, atol=1e-10)


def test_dual_variance_and_interval_equal_those_of_rsatoolbox(record: dict) -> None:
    prompts, personas = len(record["js"]), len(record["js"][0])
    variances = {k: float(np.var(v, ddof=1)) for k, v in record["resampled"].items()}
    variance = dual_variance(**variances, n_prompts=prompts, n_personas=personas)
    interval = bounded_t_interval(record["rho"], Spread(variance, min(prompts, personas) - 1))
    assert interval["se"] == pytest.approx(record["se"], abs=1e-10)
    assert interval["low"] == pytest.approx(max(record["low"], -1), abs=1e-10)
    assert interval["high"] == pytest.approx(min(record["high"], 1), abs=1e-10)


def test_corrected_variances_equal_those_of_rsatoolbox(record: dict) -> None:
    """Twelve triples, of which some are kept as they are and some are cut from either side."""
    prompts, personas = len(record["js"]), len(record["js"][0])
    inside = 0
    for case in record["variances"]:
        expected = case.pop("corrected")
        got = dual_variance(**case, n_prompts=prompts, n_personas=personas)
        assert got == pytest.approx(expected, abs=1e-12)
        low = max(case["prompts"] * prompts / (prompts - 1), case["personas"] * 8 / 7)
        inside += low < got < case["both"]
    assert 0 < inside < len(record["variances"])


def test_interval_is_students_and_stays_within_bounds() -> None:
    interval = bounded_t_interval(0.2, Spread(0.01, 19))
    assert interval["high"] - 0.2 == pytest.approx(2.093024 * 0.1, abs=1e-6)
    assert 0.2 - interval["low"] == pytest.approx(2.093024 * 0.1, abs=1e-6)
    assert bounded_t_interval(0.9, Spread(0.04, 4))["high"] == 1
    assert bounded_t_interval(-0.9, Spread(0.04, 4))["low"] == -1


def test_two_personas_are_too_few_for_a_correlation() -> None:
    counts = np.array([[2.0, 2, 0, 0], [2, 1, 1, 0], [1, 1, 1, 1]])
    pairs = np.random.default_rng(0).random((2, 1, 6))
    np.testing.assert_array_equal(
        np.isnan(resampled_correlations(*pairs, counts)), [True, False, False]
    )


def test_dual_variance_undoes_the_counting_of_independent_noise() -> None:
    """For a mean of persona, prompt and interaction effects the large-sample answer is known."""
    personas, prompts, interaction = 0.04, 0.01, 0.005
    double = dual_variance(
        prompts + interaction,
        personas + interaction,
        personas + prompts + 3 * interaction,
        n_prompts=10**9,
        n_personas=10**9,
    )
    assert double == pytest.approx(personas + prompts + interaction)
    assert dual_variance(0.02, 0.05, 0.2, n_prompts=10**9, n_personas=10**9) == pytest.approx(0.05)
    assert dual_variance(0.02, 0.05, 0.055, n_prompts=10**9, n_personas=10**9) == 0.055


def test_weighted_spearman_is_spearman_of_the_repeated_points() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(5, size=(30, 25)) / 7, rng.integers(6, size=(30, 25)) / 7
    weights = rng.integers(4, size=(30, 25)).astype(float)
    for rho, a, b, w in zip(weighted_spearman(x, y, weights), x, y, weights, strict=True):
        times = w.astype(int)
        expected = spearmanr(np.repeat(a, times), np.repeat(b, times)).statistic
        assert rho == pytest.approx(expected, abs=1e-12)
    shared = weighted_spearman(x[0], y[0], weights)
    expected = weighted_spearman(np.tile(x[0], (30, 1)), np.tile(y[0], (30, 1)), weights)
    np.testing.assert_array_equal(shared, expected)


def test_a_persona_drawn_twice_makes_no_pair_with_itself() -> None:
    """Nine draws of which three are one persona: 36 pairs, less the three of that persona."""
    counts = np.array([[3.0, 1, 1, 1, 1, 1, 1, 0, 0]])
    assert pair_weights(counts).sum() == 36 - 3


def test_weighted_cosine_distances_are_those_of_the_repeated_prompts() -> None:
    vectors, _, _ = geometries(5)
    counts = multiplicities(np.random.default_rng(0), len(vectors), 12)
    upper = np.triu_indices(vectors.shape[1], 1)
    for distances, times in zip(
        weighted_cosine_distances(vectors.astype(np.float32), counts), counts, strict=True
    ):
        repeated = np.repeat(vectors.astype(np.float32).astype(float), times.astype(int), axis=0)
        np.testing.assert_allclose(distances, cosine_distances(repeated)[upper], atol=1e-12)


def test_multiplicities_are_those_of_drawing_with_replacement() -> None:
    counts = multiplicities(np.random.default_rng(1), 6, 20_000)
    assert (counts.sum(axis=1) == 6).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.03)
    np.testing.assert_allclose((counts == 0).mean(axis=0), (5 / 6) ** 6, atol=0.015)


def test_intervals_are_those_of_plain_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws taken with indices, one by one."""
    vectors, cosine, js = geometries(11)
    rng = np.random.default_rng(99)
    prompt_draws, persona_draws = (rng.integers(size, size=(40, size)) for size in (7, 9))

    def counted(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
        drawn = prompt_draws if size == 7 else persona_draws
        return np.stack([np.bincount(row, minlength=size) for row in drawn]).astype(float)

    def rho(prompts: np.ndarray, personas: np.ndarray) -> float:
        upper = np.triu_indices(len(personas), 1)
        first, second = (personas[side] for side in upper)
        first, second = first[first != second], second[first != second]
        distances = cosine_distances(vectors[prompts])
        return spearmanr(distances[first, second], js[prompts].mean(0)[first, second]).statistic

    monkeypatch.setattr("persona_geometry.rsa.bootstrap.multiplicities", counted)
    got = bootstrap_intervals(vectors, cosine, js, 40, 0)
    every_prompt, everyone = np.arange(7), np.arange(9)
    prompts, personas, both = (
        float(np.var([rho(*drawn) for drawn in draws], ddof=1))
        for draws in (
            [(q, everyone) for q in prompt_draws],
            [(every_prompt, p) for p in persona_draws],
            zip(prompt_draws, persona_draws, strict=True),
        )
    )
    center = rho(every_prompt, everyone)
    variance = dual_variance(prompts, personas, both, n_prompts=7, n_personas=9)
    expected = {
        "prompts": Spread(prompts * 7 / 6, 6),
        "personas": Spread(personas * 9 / 8, 8),
        "dual": Spread(variance, 6),
    }
    for kind, spread in expected.items():
        ends = bounded_t_interval(center, spread)
        for key in ("low", "high", "se", "df"):
            assert got[kind][key] == pytest.approx(ends[key])


def test_prompts_and_personas_are_drawn_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many prompts as personas: the two series of draws must not be the same one."""
    vectors, cosine, js = geometries(12, personas=8, prompts=8)
    drawn = []

    def watched(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
        drawn.append(multiplicities(stream, size, n))
        return drawn[-1]

    monkeypatch.setattr("persona_geometry.rsa.bootstrap.multiplicities", watched)
    bootstrap_intervals(vectors, cosine, js, 30, 0)
    assert len(drawn) == 2 and (drawn[0] != drawn[1]).any(axis=1).all()


def test_fixed_geometry_when_there_are_no_vectors() -> None:
    """The divergences alone vary, so prompts that all agree show no spread."""
    _, cosine, js = geometries(2)
    same = np.repeat(js[:1], 5, axis=0)
    assert bootstrap_intervals(None, cosine, same, 50, 0)["prompts"]["reason"] == NO_SPREAD
    assert bootstrap_intervals(None, cosine, js, 50, 0)["prompts"]["se"] > 0.001


def test_what_cannot_be_computed_is_none_with_a_reason() -> None:
    vectors, cosine, js = geometries(4)

    def missing(intervals: dict) -> set[str]:
        for interval in intervals.values():
            assert (interval["low"] is None) == (interval["high"] is None)
            assert (interval["low"] is None) == bool(interval["reason"])
        return {kind for kind, interval in intervals.items() if interval["low"] is None}

    flat = bootstrap_intervals(None, np.zeros_like(cosine), js, 50, 0)
    assert missing(flat) == {"prompts", "personas", "dual", "clusters"}
    one = bootstrap_intervals(vectors[:1], cosine, js[:1], 50, 0)
    assert missing(one) == {"prompts", "dual", "clusters"}
    assert bootstrap_intervals(None, cosine, js[0], 50, 0) == bootstrap_intervals(
        None, cosine, js[:1], 50, 0
    )
    three = bootstrap_intervals(vectors[:, :3], cosine[:3, :3], js[:, :3, :3], 50, 0)
    assert missing(three) == {"personas", "dual", "clusters"}


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_clusters_are_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drawn copy brings its personas as new ones; equal copies make no pairs."""
    _, cosine, js = geometries(13)
    clusters, draws = tuple("aaabbcdef"), np.random.default_rng(3).integers(6, size=(40, 6))

    def counted(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
        if size != 6:
            return multiplicities(stream, size, n)
        return np.stack([np.bincount(row, minlength=size) for row in draws]).astype(float)

    def rho(row: np.ndarray) -> float:
        drawn = [
            (persona, copy)
            for copy, cluster in enumerate(row)
            for persona in range(9)
            if clusters[persona] == "abcdef"[cluster]
        ]
        pairs = [
            (i, j)
            for place, (i, copy) in enumerate(drawn)
            for j, other in drawn[place + 1 :]
            if copy == other or clusters[i] != clusters[j]
        ]
        one, other = np.array(pairs).T
        return spearmanr(cosine[one, other], js.mean(0)[one, other]).statistic

    monkeypatch.setattr("persona_geometry.rsa.bootstrap.multiplicities", counted)
    got = bootstrap_intervals(None, cosine, js, 40, 0, clusters)["clusters"]
    known = [value for value in map(rho, draws) if np.isfinite(value)]
    variance = np.var(known, ddof=1) * 6 / 5
    assert got["se"] == pytest.approx(np.sqrt(variance)) and got["df"] == 5
    assert got["resamples"] == len(known)


@pytest.mark.parametrize(("personas", "enough"), [(4, False), (5, False), (6, True), (9, True)])
def test_resamples_without_a_correlation_are_counted(personas: int, enough: bool) -> None:
    """Of 4 personas a third of the resamples hold fewer than three different ones."""
    vectors, cosine, js = geometries(8, personas=personas)
    intervals = bootstrap_intervals(vectors, cosine, js, 400, 0)
    stream = np.random.default_rng([0, 1])
    different = (multiplicities(stream, personas, 400) > 0).sum(axis=1)
    assert intervals["personas"]["resamples"] == (different >= 3).sum()
    assert intervals["prompts"]["resamples"] == 400
    assert (intervals["personas"]["low"] is not None) == enough
    if not enough:
        assert f"{intervals['personas']['resamples']} of 400" in intervals["personas"]["reason"]


def test_seeded_and_independent_of_chunking(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, cosine, js = geometries(6)
    whole = bootstrap_intervals(vectors, cosine, js, 60, 5)
    assert whole != bootstrap_intervals(vectors, cosine, js, 60, 6)
    monkeypatch.setattr("persona_geometry.rsa.bootstrap._CHUNK_ELEMENTS", 7 * len(cosine))
    monkeypatch.setattr("persona_geometry.rsa.prompt_centroids._BLOCK_ELEMENTS", 100)
    for kind, interval in bootstrap_intervals(vectors, cosine, js, 60, 5).items():
        assert interval == pytest.approx(whole[kind])
