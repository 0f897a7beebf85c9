"""The noise ceiling against rsatoolbox's half correlations, enumeration and a known truth."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from named import stacked
from scipy.stats import spearmanr

from persona_geometry.rsa import noise_ceiling as ceilings_of
from persona_geometry.rsa.noise_ceiling import spearman_brown

FIXTURE = Path(__file__).parents[1] / "fixtures" / "rsatoolbox.json"


def noise_ceiling(js: np.ndarray, splits: int, seed: int) -> dict:
    """The ceiling of (Q, N, N) divergences."""
    return ceilings_of.noise_ceiling(stacked(js), splits, seed)


def symmetric(pairs: np.ndarray, personas: int) -> np.ndarray:
    matrix = np.zeros((*pairs.shape[:-1], personas, personas))
    upper = np.triu_indices(personas, 1)
    matrix[..., upper[0], upper[1]] = pairs
    return matrix + np.swapaxes(matrix, -1, -2)


def noisy(seed: int, personas: int, prompts: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pairs = personas * (personas - 1) // 2
    truth = rng.standard_normal(pairs)
    measured = truth + noise * rng.standard_normal((prompts, pairs))
    return truth, symmetric(measured, personas)


def test_split_half_is_the_mean_of_all_correlations_that_rsatoolbox_gives() -> None:
    """Six prompts split into two halves in ten ways; the fixture holds all of them."""
    record = json.loads(FIXTURE.read_text())
    assert len(record["halves"]) == 10
    ceiling = noise_ceiling(np.array(record["js"]), 200, 0)
    halves = [half["rho"] for half in record["halves"]]
    assert ceiling["split_half"] == pytest.approx(np.mean(halves), abs=1e-12)
    assert ceiling["splits"] == 10 and ceiling["exhaustive"]


def test_odd_prompts_are_enumerated_with_each_left_out() -> None:
    _, js = noisy(3, 6, 5, 1.0)
    upper = np.triu_indices(6, 1)
    rho = []
    for left in range(5):
        rest = [q for q in range(5) if q != left]
        for partner in rest[1:]:
            one = [rest[0], partner]
            other = [q for q in rest if q not in one]
            means = [js[half].mean(axis=0)[upper] for half in (one, other)]
            rho.append(spearmanr(*means).statistic)
    ceiling = noise_ceiling(js, 100, 0)
    assert ceiling["splits"] == 15
    assert ceiling["split_half"] == pytest.approx(np.mean(rho), abs=1e-12)
    r = np.mean(rho)
    assert ceiling["reliability"] == pytest.approx(2.5 * r / (1 + 1.5 * r))
    rho = np.array(rho)
    ceilings = np.sqrt(np.maximum(2.5 * rho / (1 + 1.5 * rho), 0))
    bounds = [ceiling["low"], ceiling["high"]]
    np.testing.assert_allclose(bounds, np.quantile(ceilings, [0.025, 0.975]))


@pytest.mark.parametrize("prompts", [10, 11])
def test_random_splits_agree_with_enumeration(prompts: int) -> None:
    _, js = noisy(8, 8, prompts, 2.0)
    every = noise_ceiling(js, 10_000, 0)
    some = noise_ceiling(js, 100, 0)
    assert every["exhaustive"] and not some["exhaustive"] and some["splits"] == 100
    assert some["split_half"] == pytest.approx(every["split_half"], abs=0.02)
    assert some != noise_ceiling(js, 100, 1)
    assert some == noise_ceiling(js, 100, 0)
    assert some["low"] < some["rho_ceiling"] < some["high"]


@pytest.mark.parametrize("noise", [1.0, 3.0, 6.0])
def test_ceiling_is_the_correlation_that_the_truth_reaches(noise: float) -> None:
    reached, ceilings = [], []
    for seed in range(20):
        truth, js = noisy(seed, 19, 20, noise)
        upper = np.triu_indices(19, 1)
        reached.append(spearmanr(truth, js.mean(axis=0)[upper]).statistic)
        ceilings.append(noise_ceiling(js, 50, seed)["rho_ceiling"])
    assert np.mean(ceilings) == pytest.approx(np.mean(reached), abs=0.02)


def test_spearman_brown_predicts_longer_measures() -> None:
    """With item variance 1 and error variance 4, a mean of k items has reliability k/(k+4)."""
    for k in (2, 5, 20):
        assert spearman_brown(1 / 5, k) == pytest.approx(k / (k + 4))


def test_pure_noise_has_no_ceiling_and_agreement_has_one() -> None:
    rng = np.random.default_rng(1)
    ceilings = [
        noise_ceiling(symmetric(rng.standard_normal((8, 171)), 19), 100, 0) for _ in range(20)
    ]
    assert abs(np.mean([c["split_half"] for c in ceilings])) < 0.05
    for c in ceilings:
        assert (c["rho_ceiling"] is None) == (c["reason"] is not None) == (c["split_half"] <= 0)
    assert any(c["reason"] for c in ceilings) and not all(c["reason"] for c in ceilings)
    same = np.repeat(symmetric(rng.random((1, 171)), 19), 4, axis=0)
    assert noise_ceiling(same, 100, 0)["rho_ceiling"] == pytest.approx(1)


def test_what_cannot_be_computed_is_none() -> None:
    _, js = noisy(0, 6, 4, 1.0)
    for found, reason in (
        (ceilings_of.noise_ceiling(None, 10, 0), "from a file"),
        (noise_ceiling(js[:1], 10, 0), "no halves"),
        (noise_ceiling(js[:, :2, :2], 10, 0), "fewer than three personas"),
        (noise_ceiling(np.zeros_like(js), 10, 0), "do not vary"),
        (noise_ceiling(js, 0, 0), "noise_ceiling_splits is 0"),
    ):
        assert reason in found.pop("reason") and set(found.values()) == {None}
        assert set(found) | {"reason"} == set(noise_ceiling(js, 10, 0))


def test_every_split_is_met_once() -> None:
    """Halves differ only by order in which they are named, so 4 prompts have three splits."""
    _, js = noisy(5, 7, 4, 1.0)
    upper = np.triu_indices(7, 1)
    rho = [
        spearmanr(
            js[list(one)].mean(axis=0)[upper],
            js[[q for q in range(4) if q not in one]].mean(axis=0)[upper],
        ).statistic
        for one in combinations(range(4), 2)
        if 0 in one
    ]
    ceiling = noise_ceiling(js, 3, 0)
    assert ceiling["splits"] == 3
    assert ceiling["split_half"] == pytest.approx(np.mean(rho))
