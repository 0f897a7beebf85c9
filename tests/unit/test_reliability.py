"""Noise of prompts in both geometries, against the definitions and known truths."""

from itertools import combinations

import numpy as np
import pytest
from named import stacked
from scipy.stats import spearmanr

from persona_geometry.errors import InputError
from persona_geometry.rsa.noise_ceiling import halves, noise_ceiling
from persona_geometry.rsa.prompt_centroids import (
    MANY_PROMPTS,
    crossvalidated_cosine_distances,
    halved_cosine_distances,
    left_out_cosine_distances,
    weighted_cosine_distances,
)
from persona_geometry.rsa.reliability import split_prompts


def distances(vectors: np.ndarray) -> np.ndarray:
    centroids = vectors.mean(axis=0)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return (1 - centroids @ centroids.T)[np.triu_indices(len(centroids), 1)]


def noisy_study(seed: int, noise: float, shared: float = 0.0, prompts: int = 20) -> tuple:
    """Two views of one geometry, blurred by prompts; `shared` noise moves both alike."""
    rng = np.random.default_rng(seed)
    personas, width = 15, 6
    truth = rng.standard_normal((personas, width))
    common = shared * rng.standard_normal((prompts, personas, width))
    vectors, places = (
        truth + common + noise * rng.standard_normal((prompts, personas, width)) for _ in range(2)
    )
    centers = places / np.linalg.norm(places.mean(0), axis=-1)[None, :, None]
    js = -np.einsum("qik,qjk->qij", centers, centers)
    return truth, vectors, js


@pytest.mark.parametrize("width", [3, 200])
def test_crossvalidated_products_are_between_different_prompts_only(width: int) -> None:
    vectors = 1 + np.random.default_rng(0).standard_normal((5, 4, width))
    inner = np.zeros((4, 4))
    for q in range(5):
        for r in range(5):
            if q != r:
                inner += vectors[q] @ vectors[r].T
    lengths = np.sqrt(np.diag(inner))
    expected = (1 - inner / np.outer(lengths, lengths))[np.triu_indices(4, 1)]
    np.testing.assert_allclose(crossvalidated_cosine_distances(vectors), expected, atol=1e-12)


def test_crossvalidated_cosine_is_not_biased_by_noise_that_biases_the_centroids() -> None:
    """Personas in one direction: noise of prompts moves the centroids apart, and only them."""
    rng = np.random.default_rng(1)
    vectors = 1 + 3 * rng.standard_normal((10, 12, 400))
    assert distances(vectors).mean() > 0.3
    assert abs(crossvalidated_cosine_distances(vectors).mean()) < 0.02


def test_crossvalidated_cosine_needs_vectors_that_repeat() -> None:
    rng = np.random.default_rng(2)
    assert crossvalidated_cosine_distances(rng.random((1, 4, 3))) is None
    opposite = np.concatenate([np.ones((1, 4, 3)), -np.ones((1, 4, 3))])
    assert crossvalidated_cosine_distances(opposite) is None


@pytest.mark.parametrize("width", [3, 200])
def test_left_out_and_weighted_prompts_are_those_of_the_rest(width: int) -> None:
    vectors = (1 + np.random.default_rng(3).standard_normal((5, 4, width))).astype(np.float32)
    rest = [distances(np.delete(vectors.astype(float), q, axis=0)) for q in range(5)]
    np.testing.assert_allclose(left_out_cosine_distances(vectors), rest, atol=1e-12)
    np.testing.assert_allclose(weighted_cosine_distances(vectors, 1 - np.eye(5)), rest, atol=1e-12)


@pytest.mark.parametrize("prompts", [2, 5, 6])
def test_the_second_half_is_what_the_first_leaves(prompts: int) -> None:
    rng = np.random.default_rng(4)
    vectors = (1 + rng.standard_normal((prompts, 4, 9))).astype(np.float32)
    halved = [half > 0 for half in halves(prompts, 12, rng)[:2]]
    for distances_of_half, half in zip(
        halved_cosine_distances(vectors, *halved), halved, strict=True
    ):
        expected = [distances(vectors[own].astype(float)) for own in half]
        np.testing.assert_allclose(distances_of_half, expected, atol=1e-12)


@pytest.mark.parametrize("prompts", [MANY_PROMPTS, MANY_PROMPTS + 1])
def test_many_prompts_are_summed_in_single_precision_and_equal_vectors_stay_equal(
    prompts: int,
) -> None:
    """Two personas are one: 0 apart, and as far from every other, to the bit."""
    rng = np.random.default_rng(5)
    vectors = (20 + rng.standard_normal((prompts, 4, 9))).astype(np.float32)
    vectors[:, 3] = vectors[:, 0]
    first, second = (half > 0 for half in halves(prompts, 3, rng)[:2])
    counts = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=3).astype(float)
    found = (
        weighted_cosine_distances(vectors, counts),
        *halved_cosine_distances(vectors, first, second),
    )
    for of_weights, weights in zip(found, (counts, first, second), strict=True):
        expected = [
            distances(np.repeat(vectors.astype(float), w.astype(int), axis=0)) for w in weights
        ]
        np.testing.assert_allclose(of_weights, expected, rtol=1e-4, atol=1e-8)
        assert (of_weights != expected).any()
        np.testing.assert_allclose(of_weights[:, 2], 0, atol=1e-15)
        np.testing.assert_allclose(of_weights[:, :2], of_weights[:, 4:], rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "of",
    [
        lambda v: weighted_cosine_distances(v, np.ones((1, len(v)))),
        left_out_cosine_distances,
        crossvalidated_cosine_distances,
        lambda v: halved_cosine_distances(v, *np.eye(4, dtype=bool)[:2, None]),
    ],
)
def test_what_is_not_a_number_is_refused_by_its_place(of, bad: float) -> None:
    vectors = np.ones((4, 3, 50))
    vectors[2, 1, 7] = bad
    with pytest.raises(InputError, match="prompt 2 and persona 1"):
        of(vectors)


def test_splits_are_those_of_the_definitions() -> None:
    _, vectors, js = noisy_study(4, 1.0, prompts=4)
    upper = np.triu_indices(15, 1)
    names = ("cosine", "js", "different", "same")
    sums = dict.fromkeys(names, 0.0)
    for one in combinations(range(4), 2):
        other = [q for q in range(4) if q not in one]
        cos = [distances(vectors[list(half)]) for half in (one, other)]
        div = [js[list(half)].mean(0)[upper] for half in (one, other)]
        for name, pair in zip(
            names,
            ((cos[0], cos[1]), (div[0], div[1]), (cos[0], div[1]), (cos[0], div[0])),
            strict=True,
        ):
            sums[name] += spearmanr(*pair).statistic / 6
    got = split_prompts(vectors, stacked(js), 100, 0)
    assert got["splits"] == 3
    assert got["split_half"] == pytest.approx({"cosine": sums["cosine"], "js": sums["js"]})
    assert got["different_prompts"] == pytest.approx(sums["different"])
    assert got["same_prompts"] == pytest.approx(sums["same"])
    reliability = {name: 2 * sums[name] / (1 + sums[name]) for name in ("cosine", "js")}
    assert got["reliability"] == pytest.approx(reliability)
    assert got["ceiling"] == pytest.approx(np.sqrt(reliability["cosine"] * reliability["js"]))
    assert got["disattenuated"] == pytest.approx(
        sums["different"] / np.sqrt(sums["cosine"] * sums["js"])
    )


def test_reliability_of_divergences_is_the_noise_ceilings() -> None:
    _, vectors, js = noisy_study(5, 1.0)
    got = split_prompts(vectors, stacked(js), 50, 3)
    assert got["reliability"]["js"] == noise_ceiling(stacked(js), 50, 3)["reliability"]


def test_disattenuated_correlation_of_one_geometry_seen_twice_is_one() -> None:
    """Also where noise that both views share raises the correlation on the same prompts."""
    for shared in (0.0, 0.8):
        results = []
        for seed in range(12):
            _, vectors, js = noisy_study(seed, 0.8, shared)
            results.append(split_prompts(vectors, stacked(js), 50, seed))
        assert np.mean([r["disattenuated"] for r in results]) == pytest.approx(1, abs=0.06)
        gap = np.mean([r["same_prompts"] - r["different_prompts"] for r in results])
        assert gap > 0.05 if shared else abs(gap) < 0.02


def test_a_reliability_that_is_not_positive_disattenuates_nothing() -> None:
    rng = np.random.default_rng(6)
    noise = stacked(np.array([m + m.T for m in rng.random((4, 8, 8))]))
    for seed in range(20):
        vectors = np.random.default_rng(seed).standard_normal((4, 8, 5))
        got = split_prompts(vectors, noise, 10, 0)
        if min(got["split_half"].values()) <= 0:
            assert got["ceiling"] is None and got["disattenuated"] is None
            return
    raise AssertionError("no unreliable geometry among twenty")


def test_what_cannot_be_computed_is_none() -> None:
    _, vectors, js = noisy_study(7, 1.0, prompts=4)
    whole = split_prompts(vectors, stacked(js), 10, 0)
    for found, reason in (
        (split_prompts(None, stacked(js), 10, 0), "cosines come from a file"),
        (split_prompts(vectors, None, 10, 0), "divergences come from a file"),
        (split_prompts(vectors[:1], stacked(js[:1]), 10, 0), "no halves"),
        (split_prompts(vectors, stacked(np.ones_like(js)), 10, 0), "do not vary"),
        (split_prompts(vectors, stacked(js), 0, 0), "noise_ceiling_splits is 0"),
    ):
        assert reason in found["reason"]
        assert found["different_prompts"] is found["split_half"]["js"] is found["splits"] is None
        assert found.keys() == whole.keys()
