"""Signed decoupling: its signs, its order, and its shares against each resample redone by hand."""

import numpy as np
import pytest
from named import named, stacked

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import square
from persona_geometry.report.text import direction
from persona_geometry.rsa import decoupling
from persona_geometry.rsa.bootstrap import bootstrap_intervals, multiplicities
from persona_geometry.rsa.decoupling import TopPairs, decoupled_pairs
from persona_geometry.rsa.pairs import pair_table, top_residual_pairs
from persona_geometry.rsa.prompt_centroids import weighted_cosine_distances
from persona_geometry.rsa.residual import radial_residuals

N, PAIRS, K = 7, 21, 3


def noise(seed: int) -> np.ndarray:
    return square(1 + 0.01 * np.random.default_rng(seed).random(PAIRS), N)


def table(cosine: np.ndarray, js: np.ndarray) -> list[dict]:
    x, y = named(cosine), named(js)
    return pair_table({}, {}, x, y, radial_residuals(x, y))


def moved(of: np.ndarray, first: int, second: int, by: float) -> np.ndarray:
    changed = of.copy()
    changed[[first, second], [second, first]] += by
    return changed


def test_a_pair_that_is_near_inside_and_far_outside_has_a_positive_difference() -> None:
    """One pair parts from the rest in opposite ways, another, more so, in the same way in both."""
    cosine = moved(moved(noise(0), 0, 1, -0.3), 4, 5, 0.5)
    js = moved(moved(noise(1), 0, 1, 0.3), 4, 5, 0.5)
    rows = table(cosine, js)
    (published,) = top_residual_pairs(rows, 1)
    assert published["pair"] == ["p4", "p5"]
    assert published["z_cos"] > 0 < published["z_js"] and direction(published) == "far in both"
    (first,) = decoupled_pairs(rows, 1, None, "no prompts")["pairs"]
    assert rows[0]["pair"] == first["pair"] and first["decoupled"]
    assert first["z_difference"] == first["z_js"] - first["z_cos"] > 0
    assert first["z_cos"] < 0 and direction(first) == "near in hidden states, far in behavior"
    (reverse,) = decoupled_pairs(table(js, cosine), 1, None, "no prompts")["pairs"]
    assert reverse["z_difference"] == pytest.approx(-first["z_difference"])
    assert direction(reverse) == "far in hidden states, near in behavior"


@pytest.mark.parametrize("with_vectors", [False, True])
def test_shares_are_those_of_every_resample_done_again(with_vectors: bool) -> None:
    rng = np.random.default_rng(3)
    prompts, resamples, seed = 5, 60, 4
    js = stacked(square(rng.random((prompts, PAIRS)), N))
    vectors = rng.standard_normal((prompts, N, 6)) + 1
    cosine = js.mean().of(weighted_cosine_distances(vectors, np.ones((1, prompts)))[0])
    counted = TopPairs(N, K)
    given = vectors if with_vectors else None
    bootstrap_intervals(given, cosine, js.mean(), js, resamples, seed, seen=counted.see)

    hits = np.zeros(PAIRS)
    for counts in multiplicities(np.random.default_rng([seed, 0]), prompts, resamples):
        x = weighted_cosine_distances(vectors, counts[None])[0] if with_vectors else cosine.vector
        rest = radial_residuals(cosine.of(x), cosine.of(counts @ js.vectors / prompts))
        scores = decoupling.z_scores(rest)
        hits[np.argsort(-np.abs(scores[1] - scores[0]))[:K]] += 1
    assert counted.taken == resamples and counted.hits.tolist() == hits.tolist()

    rows = pair_table({}, {}, cosine, js.mean(), radial_residuals(cosine, js.mean()))
    found = decoupled_pairs(rows, K, counted, None)
    place = [rows.index({k: row[k] for k in rows[0]}) for row in found["pairs"]]
    assert [row["share_in_top"] for row in found["pairs"]] == (hits[place] / resamples).tolist()
    assert found["resamples"] == resamples and found["reason"] is None


def test_without_prompts_shares_are_null_and_said_to_be() -> None:
    rows = table(noise(0), noise(1))
    found = decoupled_pairs(rows, K, None, "There are no prompts.")
    assert [row["share_in_top"] for row in found["pairs"]] == [None] * K
    assert (found["resamples"], found["reason"]) == (None, "There are no prompts.")
    every = decoupled_pairs(rows, PAIRS, TopPairs(N, PAIRS), None)
    assert every["resamples"] is None and "every pair" in every["reason"]


def test_what_does_not_vary_has_no_decoupled_pairs() -> None:
    flat = square(np.full(PAIRS, 0.1 + 0.2), N)
    found = decoupled_pairs(table(noise(0), flat), K, TopPairs(N, K), None)
    assert found["pairs"] == [] and found["reason"]
    counted = TopPairs(N, K)
    counted.see(Rdm.from_square(range(N), flat).vector[None], np.ones((4, PAIRS)))
    assert counted.taken == 0 and not counted.hits.any()
