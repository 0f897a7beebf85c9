"""Leave-one-out intervals, contrasts and the peak against brute force and known variances."""

import numpy as np
import pytest
from named import named, stacked
from scipy.stats import norm, rankdata, spearmanr
from scipy.stats import t as student_t

from persona_geometry.rsa.contrasts import contrasts, peak
from persona_geometry.rsa.intervals import (
    NO_SPREAD,
    Spread,
    combined,
    delta_interval,
    fisher_interval,
)
from persona_geometry.rsa.jackknife import KINDS, Jackknife, intervals, jackknife

CLUSTERS = ["a", "a", "a", "b", "b", "c", "d", "e", "f"]


def study(seed: int, personas: int = 9, prompts: int = 6, width: int = 5) -> tuple:
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((personas, width))
    vectors = 1 + latent + 0.5 * rng.standard_normal((prompts, personas, width))
    js = np.abs(latent[:, None] - latent).sum(-1) + rng.random((prompts, personas, personas))
    return vectors, np.triu(js, 1) + np.triu(js, 1).transpose(0, 2, 1)


def distances(vectors: np.ndarray) -> np.ndarray:
    centroids = vectors.mean(axis=0)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    return 1 - centroids @ centroids.T


def rho(vectors: np.ndarray, js: np.ndarray, personas: list[int]) -> float:
    upper = np.triu_indices(len(personas), 1)
    x, y = (m[np.ix_(personas, personas)][upper] for m in (distances(vectors), js.mean(0)))
    return spearmanr(x, y).statistic


def left_out(vectors: np.ndarray, js: np.ndarray, clusters: list[str] = CLUSTERS) -> Jackknife:
    by_prompt = stacked(js)
    return jackknife(named(distances(vectors)), by_prompt.mean(), by_prompt, vectors, clusters)


def brute_force(vectors: np.ndarray, js: np.ndarray) -> dict[str, list[float]]:
    """Each unit removed from the data, and everything computed again."""
    everyone, prompts = list(range(js.shape[-1])), range(len(js))
    return {
        "personas": [rho(vectors, js, [i for i in everyone if i != k]) for k in everyone],
        "prompts": [
            rho(np.delete(vectors, q, axis=0), np.delete(js, q, axis=0), everyone) for q in prompts
        ],
        "clusters": [
            rho(vectors, js, [i for i in everyone if CLUSTERS[i] != c])
            for c in dict.fromkeys(CLUSTERS)
        ],
    }


def variance(values: np.ndarray) -> float:
    return (len(values) - 1) / len(values) * ((values - np.mean(values)) ** 2).sum()


def test_what_remains_is_computed_as_if_nothing_else_had_been_measured() -> None:
    vectors, js = study(1)
    found = left_out(vectors, js)
    assert found.rho == pytest.approx(rho(vectors, js, list(range(9))))
    expected = brute_force(vectors, js)
    assert found.without.keys() == expected.keys()
    for kind, values in expected.items():
        np.testing.assert_allclose(found.without[kind], values, atol=1e-12)


def test_intervals_are_the_jackknifes_on_fishers_z() -> None:
    vectors, js = study(2)
    expected = {kind: np.arctanh(values) for kind, values in brute_force(vectors, js).items()}
    got = intervals(left_out(vectors, js))
    center = np.arctanh(rho(vectors, js, list(range(9))))
    prompts, personas = variance(expected["prompts"]), variance(expected["personas"])
    df = (prompts + personas) ** 2 / (prompts**2 / 5 + personas**2 / 8)
    for kind, spread, degrees in (
        ("prompts", prompts, 5),
        ("personas", personas, 8),
        ("clusters", variance(expected["clusters"]), 5),
        ("dual", prompts + personas, df),
    ):
        half = student_t.ppf(0.975, degrees) * np.sqrt(spread)
        assert got[kind]["low"] == pytest.approx(np.tanh(center - half))
        assert got[kind]["high"] == pytest.approx(np.tanh(center + half))
        assert got[kind]["df"] == pytest.approx(degrees)
        assert got[kind]["se"] == pytest.approx(np.sqrt(spread))


def test_ends_lie_inside_whatever_the_spread() -> None:
    for correlation in (0.999999, -0.999999, 0.5):
        for ends in (fisher_interval, delta_interval):
            interval = ends(correlation, Spread(1e4, 1))
            assert -1 < interval["low"] < interval["high"] < 1


def test_delta_method_is_fishers_z_of_a_small_spread() -> None:
    interval = delta_interval(0.8, Spread(1e-8, 10))
    half = student_t.ppf(0.975, 10) * 1e-4
    assert interval["high"] - 0.8 == pytest.approx(half, rel=1e-3)
    assert interval["se"] == pytest.approx(1e-4)


def test_degrees_of_a_sum_lie_between_those_of_its_parts() -> None:
    """Satterthwaite: equal parts with the same degrees have twice as many together."""
    assert combined(Spread(1.0, 4), Spread(1.0, 4)) == (2.0, 8.0)
    assert combined(Spread(1.0, 18), Spread(0.0, 1)) == (1.0, 18.0)
    assert combined(Spread(0.0, 18), Spread(0.0, 1)) == (0.0, 1)


def test_few_prompts_that_agree_do_not_widen_the_dual_interval() -> None:
    vectors, js = study(3, personas=15)
    two = np.repeat(vectors[:1], 2, axis=0), np.repeat(js[:1], 2, axis=0)
    got = intervals(left_out(*two, []))
    assert got["dual"]["df"] == pytest.approx(14)
    assert got["dual"]["low"] == pytest.approx(got["personas"]["low"])


@pytest.mark.parametrize(
    ("cut", "missing"),
    [
        (lambda v, js: (v[:1], js[:1], CLUSTERS), {"prompts", "dual"}),
        (lambda v, js: (v[:, :5], js[:, :5, :5], CLUSTERS[:5]), {"personas", "dual", "clusters"}),
        (lambda v, js: (v, js, []), {"clusters"}),
        (lambda v, js: (v, js, list("aaabbbccc")), {"clusters"}),
        (lambda v, js: (v, np.ones_like(js), CLUSTERS), set(KINDS)),
    ],
)
def test_what_cannot_be_computed_is_none_with_a_reason(cut, missing: set[str]) -> None:
    got = intervals(left_out(*cut(*study(4))))
    assert got.keys() == set(KINDS)
    for kind, interval in got.items():
        assert (interval["low"] is None) == (kind in missing)
        assert bool(interval["reason"]) == (kind in missing)


def test_equal_geometries_have_no_interval() -> None:
    same = np.abs(np.subtract.outer(*2 * [np.random.default_rng(0).random(9)]))
    got = intervals(jackknife(named(same), named(2 * same)))
    assert all("exactly 1" in interval["reason"] for interval in got.values())


def test_without_vectors_only_the_divergences_vary() -> None:
    vectors, js = study(5)
    fixed = jackknife(named(distances(vectors)), named(js.mean(0)), stacked(js))
    upper = np.triu_indices(9, 1)
    expected = [
        spearmanr(distances(vectors)[upper], np.delete(js, q, axis=0).mean(0)[upper]).statistic
        for q in range(6)
    ]
    np.testing.assert_allclose(fixed.without["prompts"], expected, atol=1e-12)


def test_contrasts_leave_the_same_out_of_both_layers() -> None:
    first, js = study(6)
    second = first + np.random.default_rng(0).standard_normal(first.shape)
    (got,) = contrasts({3: left_out(first, js), 8: left_out(second, js)})
    everyone = list(range(9))
    difference = rho(first, js, everyone) - rho(second, js, everyone)
    assert got["layers"] == [3, 8] and got["difference"] == pytest.approx(difference)
    one, other = brute_force(first, js), brute_force(second, js)
    for kind in one:
        spread = variance(np.subtract(one[kind], other[kind]))
        half = student_t.ppf(0.975, len(one[kind]) - 1) * np.sqrt(spread)
        assert got[kind]["low"] == pytest.approx(difference - half)
        assert got[kind]["high"] == pytest.approx(difference + half)
    assert got["dual"]["se"] ** 2 == pytest.approx(
        got["prompts"]["se"] ** 2 + got["personas"]["se"] ** 2
    )


def test_a_layer_does_not_differ_from_itself() -> None:
    same = left_out(*study(7))
    (got,) = contrasts({1: same, 2: same})
    assert got["difference"] == 0 and got["dual"]["low"] is None
    assert got["dual"]["reason"] == NO_SPREAD
    assert peak({1: same, 2: same}, ("personas",), 0)["confidence_set"] == [1, 2]


def layers_of(rho: list[float], se: float, units: int, seed: int) -> dict[int, Jackknife]:
    """Layers with independent errors of a known standard error, estimated from units."""
    noise = np.random.default_rng(seed).standard_normal((units, len(rho)))
    observed = np.array(rho) + se * np.sqrt(units) * noise.mean(axis=0)
    without = observed - se * np.sqrt(units) * (noise - noise.mean(axis=0)) / (units - 1)
    return {k: Jackknife(float(observed[k]), {"personas": without[:, k]}) for k in range(len(rho))}


def test_the_set_holds_the_best_layer_as_often_as_it_says() -> None:
    """The hardest case, where all layers are equally good, meets the level and not more."""
    held = [
        0 in peak(layers_of([0.5] * 6, 0.03, 12, seed), ("personas",), seed)["confidence_set"]
        for seed in range(300)
    ]
    assert 0.92 <= np.mean(held) <= 0.98


def test_the_set_of_two_layers_is_a_one_sided_t_test() -> None:
    """With one rival and many units the critical value is Student's, here close to normal's."""
    for distance, kept in ((1.55, True), (1.75, False)):
        layers = layers_of([0.0, 0.0], 1.0, 4000, 1)
        worse = np.sqrt(variance(layers[0].without["personas"] - layers[1].without["personas"]))
        shifted = {
            0: Jackknife(0.0, layers[0].without),
            1: Jackknife(float(distance * worse), layers[1].without),
        }
        assert norm.ppf(0.95) == pytest.approx(1.645, abs=1e-3)
        found = peak(shifted, ("personas",), 0)
        assert found["layer"] == 1 and found["confidence_set"] == ([0, 1] if kept else [1])


def test_prompts_can_widen_the_set() -> None:
    layers = layers_of([0.2, 0.6], 0.05, 12, 3)
    rng = np.random.default_rng(1)
    noisy = {
        k: Jackknife(found.rho, {**found.without, "prompts": found.rho + rng.normal(0, 0.3, 8)})
        for k, found in layers.items()
    }
    assert peak(noisy, ("personas",), 0)["confidence_set"] == [1]
    assert peak(noisy, ("prompts", "personas"), 0)["confidence_set"] == [0, 1]


def test_a_peak_that_cannot_be_told_has_a_reason() -> None:
    vectors, js = study(8)
    flat = left_out(vectors, np.ones_like(js))
    assert peak({0: flat}, ("personas",), 0)["layer"] is None
    few = left_out(vectors[:, :4], js[:, :4, :4], [])
    found = peak({0: few, 1: flat}, ("personas",), 0)
    assert found["layer"] == 0 and found["confidence_set"] is None and found["reason"]
    good = left_out(vectors, js)
    assert peak({0: flat, 1: good}, ("personas",), 0)["confidence_set"] == [1]
    assert peak({1: good}, ("prompts", "personas"), 4)["confidence_set"] == [1]


def test_ties_take_middle_ranks_when_personas_are_left_out() -> None:
    rng = np.random.default_rng(9)
    x, y = rng.integers(3, size=(2, 7, 7)).astype(float)
    x, y = x + x.T, y + y.T
    found = jackknife(named(x), named(y)).without["personas"]
    for k in range(7):
        rest = [i for i in range(7) if i != k]
        upper = np.triu_indices(6, 1)
        ranks = [rankdata(m[np.ix_(rest, rest)][upper]) for m in (x, y)]
        assert found[k] == pytest.approx(np.corrcoef(*ranks)[0, 1])
