"""What explains the divergences: commonality, words of system prompts, the asymmetry of KL."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from persona_geometry.rdms.lexical import lexical_rdm
from persona_geometry.rsa.asymmetry import kl_asymmetry
from persona_geometry.rsa.cka import kernel_cka, linear_cka
from persona_geometry.rsa.commonality import commonality
from persona_geometry.rsa.permutation import Permutations

NAMES = [f"p{k}" for k in range(7)]


def r2(y: np.ndarray, *columns: np.ndarray) -> float:
    design = np.column_stack([np.ones(len(y)), *columns])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - rest @ rest / ((y - y.mean()) ** 2).sum())


def test_commonality_of_three_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(60)
    a, b, c = (shared + rng.standard_normal(60) for _ in range(3))
    y = shared + a - 0.5 * c + rng.standard_normal(60)
    found = commonality(y, {"cosine": [a], "radial": [b], "lexical": [c]})
    parts = {"".join(name[0] for name in row["predictors"]): row["r2"] for row in found["parts"]}
    ab, ac, bc, abc = r2(y, a, b), r2(y, a, c), r2(y, b, c), r2(y, a, b, c)
    assert found["unique"]["cosine"] == pytest.approx(abc - bc) == parts["c"]
    assert parts["cr"] == pytest.approx(ac + bc - r2(y, c) - abc)
    three = r2(y, a) + r2(y, b) + r2(y, c) - ab - ac - bc + abc
    assert parts["crl"] == pytest.approx(three)
    assert sum(parts.values()) == pytest.approx(found["r2"]) == abc
    assert found["shared"]["radial"] == pytest.approx(r2(y, b) - (abc - ac))


def test_a_predictor_may_have_several_columns_or_not_vary() -> None:
    rng = np.random.default_rng(1)
    y, a, b, c = rng.standard_normal((4, 40))
    found = commonality(y, {"cosine": [a], "clusters": [b, c], "lexical": [np.ones(40)]})
    assert found["r2"] == pytest.approx(r2(y, a, b, c))
    assert found["alone"] == {
        "cosine": pytest.approx(r2(y, a)),
        "clusters": pytest.approx(r2(y, b, c)),
        "lexical": None,
    }
    assert commonality(np.ones(40), {"cosine": [a]})["r2"] is None


def test_words_are_compared_as_sets() -> None:
    prompts = {
        "a": "You are a poet. You ARE a poet!",
        "b": "You are a surgeon.",
        "c": "",
        "d": "@template",
    }
    square = lexical_rdm(prompts).square
    assert square[0, 1] == pytest.approx(1 - 3 / 5)
    assert square[0, 2] == 1 and square[2, 3] == 0


def directed(seed: int, n: int = 7) -> tuple[np.ndarray, list[tuple[str, str, float]]]:
    rng = np.random.default_rng(seed)
    kl = rng.random((n, n)) * (1 - np.eye(n))
    values = kl + 0.6 * rng.random((n, n))
    pairs = permutations(range(n), 2)
    return kl, [(NAMES[i], NAMES[j], float(values[i, j])) for i, j in pairs]


def test_asymmetry_is_the_correlation_of_differences_in_both_directions() -> None:
    kl, outcomes = directed(2)
    found = kl_asymmetry(NAMES, kl, outcomes, Permutations.free(7, 99, 0))
    value = {(a, b): v for a, b, v in outcomes}
    ordered = list(permutations(range(7), 2))
    x = [kl[i, j] - kl[j, i] for i, j in ordered]
    y = [value[NAMES[i], NAMES[j]] - value[NAMES[j], NAMES[i]] for i, j in ordered]
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    assert found["n_pairs"] == 21 and found["n_personas"] == 7
    assert found["low"] < found["spearman"] < found["high"]
    renamed = NAMES[::-1]
    again = kl_asymmetry(renamed, kl[::-1, ::-1], outcomes, Permutations.free(7, 99, 0))
    assert again["spearman"] == pytest.approx(found["spearman"])


def test_asymmetry_is_tested_over_every_relabeling() -> None:
    rng = np.random.default_rng(3)
    kl, names = rng.random((5, 5)) * (1 - np.eye(5)), NAMES[:5]
    values = kl + rng.random((5, 5))
    outcomes = [(names[i], names[j], values[i, j]) for i, j in permutations(range(5), 2)]
    free = Permutations.free(5, 120, 0)
    found = kl_asymmetry(names, kl, outcomes, free)
    relabeled = [
        kl_asymmetry(names, kl[np.ix_(order, order)], outcomes, Permutations.free(5, 1, 0))
        for order in permutations(range(5))
    ]
    reached = sum(abs(one["spearman"]) >= abs(found["spearman"]) - 1e-10 for one in relabeled)
    assert found["p_two_sided"] == pytest.approx(reached / 120) and 2 < reached < 120


def test_symmetric_kl_says_nothing_of_direction() -> None:
    kl, outcomes = directed(4)
    found = kl_asymmetry(NAMES, kl + kl.T, outcomes, Permutations.free(7, 99, 0))
    assert found["spearman"] is None and found["share"] == 0 and "asymmetric" in found["reason"]
    one_way = [row for row in outcomes if row[0] < row[1]]
    assert kl_asymmetry(NAMES, kl, one_way, Permutations.free(7, 99, 0))["n_pairs"] == 0


def test_kernel_cka_takes_similarities_for_inner_products() -> None:
    x = np.random.default_rng(5).standard_normal((9, 4))
    y = x + np.random.default_rng(6).standard_normal((9, 4))
    assert kernel_cka(x, y @ y.T) == pytest.approx(linear_cka(x, y))
    assert kernel_cka(x, np.ones((9, 9))) is None
