"""A probe's numbers against their definitions, written out one by one."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from persona_geometry.probe.directions import (
    leading_components,
    projected_out,
    pulls,
    shared_direction,
    shares_with,
    shares_without,
)
from persona_geometry.probe.files import read_directions, write_directions
from persona_geometry.probe.layers import directions_of, grouped_distances, turning_layers, views
from persona_geometry.probe.probe import probe
from persona_geometry.probe.tokens import (
    ScoredText,
    divergence_by_token,
    position_bins,
    scored_text,
)
from persona_geometry.probe.words import is_function_word, kinds
from persona_geometry.rdms.centroids import cosine_rdms
from persona_geometry.report.figures.probe import probe_figure
from persona_geometry.report.probe import describe_probe
from tests.conftest import make_tokenizer

NAMES = [f"p{n}" for n in range(8)]
CHOSEN, PLACES, OTHERS = ["p1", "p4", "p5"], [1, 4, 5], [0, 2, 3, 6, 7]
CENTROIDS = np.random.default_rng(0).normal(size=(3, 8, 12)) + 5.0


def components(points: np.ndarray, k: int) -> np.ndarray:
    """(k, d) leading eigenvectors of the covariance."""
    return np.linalg.eigh(np.cov(points.T))[1][:, ::-1][:, :k].T


def share(vector: np.ndarray, directions: np.ndarray) -> float:
    return sum((vector @ u) ** 2 for u in directions) / (vector @ vector)


def test_shares_with_a_persona_are_those_on_the_components_of_all() -> None:
    shares = shares_with(CENTROIDS, 2)
    for layer, points in enumerate(CENTROIDS):
        for place in range(8):
            vector = points[place] - points.mean(0)
            expected = [share(vector, components(points, k)) for k in (1, 2)]
            assert shares[layer, place] == pytest.approx(expected)


def test_shares_without_a_persona_are_those_on_the_components_of_others_only() -> None:
    shares = shares_without(CENTROIDS, PLACES, 2)
    for layer, points in enumerate(CENTROIDS):
        for place in range(8):
            by = points[[other for other in OTHERS if other != place]]
            vector = points[place] - by.mean(0)
            expected = [share(vector, components(by, k)) for k in (1, 2)]
            assert shares[layer, place] == pytest.approx(expected)


def test_a_pull_compares_a_persona_with_means_that_it_has_no_part_in() -> None:
    found = pulls(CENTROIDS, PLACES)
    for layer, points in enumerate(CENTROIDS):
        for place in range(8):
            rest = points[[other for other in OTHERS if other != place]].mean(0)
            group = points[[other for other in PLACES if other != place]].mean(0)
            a, b = points[place] - rest, group - rest
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert found[layer, place] == pytest.approx(cosine)


def test_what_is_projected_out_is_gone_and_the_rest_stays() -> None:
    _, axes = leading_components(CENTROIDS, 2)
    rest = projected_out(CENTROIDS, axes)
    assert np.abs(rest @ axes.transpose(0, 2, 1)).max() < 1e-12
    assert np.allclose(projected_out(rest, axes), rest)
    assert np.array_equal(projected_out(CENTROIDS, np.zeros((3, 1, 12))), CENTROIDS)


def test_distances_are_means_over_pairs_of_each_group() -> None:
    rdms = cosine_rdms(NAMES, CENTROIDS)
    found = grouped_distances(rdms, CHOSEN)
    for layer, points in enumerate(CENTROIDS):
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)

        def mean(pairs: Any, unit: np.ndarray = unit) -> float:
            return float(np.mean([1 - unit[a] @ unit[b] for a, b in pairs]))

        across = [(a, b) for a in PLACES for b in OTHERS]
        expected = {
            "chosen": mean(combinations(PLACES, 2)),
            "others": mean(combinations(OTHERS, 2)),
            "across": mean(across),
        }
        for name, value in expected.items():
            assert found[name][layer] == pytest.approx(value)
        assert found["relative"][layer] == pytest.approx(expected["chosen"] / expected["others"])
        ordered = sorted(
            combinations(range(8), 2), key=lambda pair, unit=unit: 1 - unit[pair[0]] @ unit[pair[1]]
        )
        ranks = [ordered.index(pair) / 27 for pair in combinations(PLACES, 2)]
        assert found["rank"][layer] == pytest.approx(np.mean(ranks))


def test_views_take_the_direction_of_the_chosen_from_centroids_as_they_are() -> None:
    found = views(CENTROIDS, PLACES, OTHERS, 2)
    assert list(found)[-2:] == ["component_1_removed", "components_2_removed"]
    shared = CENTROIDS[:, PLACES].mean(1) - CENTROIDS[:, OTHERS].mean(1)
    rest = found["shared_removed"]
    assert np.abs((rest * shared[:, None]).sum(2)).max() < 1e-12
    apart = rest[:, PLACES].mean(1) - rest[:, OTHERS].mean(1)
    assert np.abs(apart).max() < 1e-12


def test_turning_layers_are_where_the_relative_distance_moves_most() -> None:
    turning = turning_layers([1.0, 0.8, 0.9, 0.3, 0.6])
    assert turning == {"nearest": 3, "farthest": 0, "together": 3, "apart": 4}
    assert turning_layers([1.0, 1.2])["together"] is None
    assert turning_layers([1.0])["apart"] is None


def test_directions_are_unit_vectors_on_which_the_chosen_lie_higher(tmp_path) -> None:
    directions = directions_of(NAMES, CENTROIDS, CHOSEN, 2)
    assert list(directions) == ["shared", "component_1", "component_2", "random"]
    for name, one in directions.items():
        assert np.allclose(np.linalg.norm(one, axis=1), 1)
        if name == "random":
            continue
        heights = (CENTROIDS * one[:, None]).sum(2)
        assert (heights[:, PLACES].mean(1) > heights[:, OTHERS].mean(1)).all()
    write_directions(tmp_path / "d.npz", directions, CHOSEN)
    read, personas = read_directions(tmp_path / "d.npz")
    assert personas == CHOSEN and all(np.array_equal(read[n], directions[n]) for n in directions)


def test_personas_without_a_common_departure_have_no_direction() -> None:
    same = np.ones((1, 2, 4))
    assert np.array_equal(shared_direction(same, same), np.zeros((1, 4)))


def test_function_words_are_known_with_their_contractions() -> None:
    assert all(map(is_function_word, ["The", "isn't", "can't", "it’s", "won't", "of", "They"]))
    assert not any(map(is_function_word, ["bread", "Paris", "baker's", "thesis", "articles"]))


def test_a_token_has_the_kind_of_the_word_that_it_is_a_part_of() -> None:
    added = ["The", " bak", "ery", "'s", " 3", ".", "5", " of", "\n", "it", "'s", "!", ""]
    assert kinds(added) == [
        *("function word", "content word", "content word", "content word", "number"),
        *("punctuation", "number", "function word", "punctuation", "function word"),
        *("function word", "punctuation", "special token"),
    ]


def test_a_token_that_completes_no_character_counts_to_what_follows() -> None:
    assert kinds(["", "é", "té", "", " ☕"]) == [
        *("content word", "content word", "content word", "punctuation", "punctuation")
    ]


def test_a_response_is_read_from_its_generated_tokens_where_those_were_scored(tmp_path) -> None:
    tokenizer = make_tokenizer()  # of bytes
    tokenizer.save_pretrained(tmp_path)
    ids = tokenizer.encode("a é☕.<|im_end|>")
    text = scored_text(tmp_path, ids, len(ids))
    assert text is not None and text.pieces == ["a", " ", "", "é", "", "", "☕", ".", ""]
    assert text.kinds[0] == "function word" and text.kinds[-1] == "special token"
    assert scored_text(tmp_path, ids, len(ids) + 1) is None
    assert scored_text(tmp_path / "none", ids, len(ids)) is None


def test_positions_are_binned_by_doubling() -> None:
    assert position_bins(1) == [(0, 1)]
    assert position_bins(9) == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16)]


def test_divergence_by_token_is_shares_of_its_sum() -> None:
    series = {"q": np.array([4.0, 1.0, 1.0]), "r": np.array([2.0, 0.0])}
    texts = {
        "q": ScoredText(["The", " sea", "."], ["function word", "content word", "punctuation"]),
        "r": ScoredText([" sea", "."], ["content word", "punctuation"]),
    }
    found = divergence_by_token(series, texts)
    assert (found["tokens"], found["mean"]) == (5, 1.6)
    shares = [(p["from"], p["share_of_tokens"], p["share_of_js"]) for p in found["by_position"]]
    assert shares == [(0, 0.4, 0.75), (1, 0.4, 0.125), (2, 0.2, 0.125)]
    assert found["by_kind"]["content word"] == {
        "share_of_tokens": 0.4,
        "share_of_js": 0.375,
        "mean": 1.5,
    }
    assert found["concentration"]["0.1"] == 0.5
    assert found["top_tokens"][1] == {"token": " sea", "times": 2, "share_of_js": 0.375}
    second = found["top_places"][1]
    assert (second["prompt"], second["position"], second["before"]) == ("r", 0, "")
    assert divergence_by_token(series, dict.fromkeys(series))["by_kind"] is None


@pytest.mark.parametrize("known", [True, False])
def test_a_probe_is_said_and_drawn_with_and_without_the_words(known: bool) -> None:
    rng = np.random.default_rng(1)
    divergences = {"q": rng.random((28, 5)), "r": rng.random((28, 3))}
    text = {n: ScoredText([" a|`"] * n, ["function word"] * n) for n in (3, 5)}
    texts = {name: text[rows.shape[1]] if known else None for name, rows in divergences.items()}
    found = probe(NAMES, CENTROIDS, CHOSEN, 2, divergences, texts)
    chosen = [n for n, pair in enumerate(combinations(NAMES, 2)) if {*pair} <= {*CHOSEN}]
    tokens = np.concatenate([rows[chosen].mean(0) for rows in divergences.values()])
    assert found["tokens"]["chosen"]["mean"] == pytest.approx(tokens.mean())
    said = describe_probe(found, [0, 2])
    assert "description, not mechanism" in said and ("` a¦'`" in said) == known
    table = probe_figure(found, 3.5).table
    expected = {"distance", "pull", "share", "position"} | ({"kind"} if known else set())
    assert set(table["panel"]) == expected and table["value"].notna().all()
