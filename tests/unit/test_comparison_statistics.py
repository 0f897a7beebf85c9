"""The statistics of a comparison against brute force: enumeration, and deletion one by one."""

from itertools import permutations

import numpy as np
import pytest
from named import named, stacked
from scipy.stats import rankdata
from scipy.stats import t as student_t

from persona_geometry.comparison.decoupled import agreement, decoupling, top
from persona_geometry.comparison.matching import prompt_strata
from persona_geometry.comparison.repeats import (
    LeftOut,
    between_layers,
    correlation_intervals,
    difference,
    difference_intervals,
    second_order,
    without_each_persona,
)
from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rsa.jackknife import jackknife
from persona_geometry.rsa.permutation import Permutations

N = 7
UPPER = np.triu_indices(N, 1)


def symmetric(rng: np.random.Generator, *shape: int, n: int = N) -> np.ndarray:
    raw = np.triu(rng.random((*shape, n, n)), 1)
    return raw + np.swapaxes(raw, -1, -2)


def rho(x: np.ndarray, y: np.ndarray) -> float:
    upper = np.triu_indices(len(x), 1)
    return correlated(x[upper], y[upper])


def correlated(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def without(matrix: np.ndarray, k: int) -> np.ndarray:
    return np.delete(np.delete(matrix, k, -1), k, -2)


def spread(values: list[float]) -> float:
    m = len(values)
    return (m - 1) / m * sum((value - np.mean(values)) ** 2 for value in values)


def test_intervals_between_divergences_are_those_of_deleting_one_by_one() -> None:
    """Prompts b and c are in both studies, a in the first, d, e and f in the second."""
    rng = np.random.default_rng(0)
    common = symmetric(rng)
    x, y = common + symmetric(rng, 4), common + symmetric(rng, 5)
    mine, theirs = ["a", "b", "c", "z"], ["c", "d", "e", "f", "b"]
    first, second = stacked(x), stacked(y)
    found = second_order(
        first.mean(),
        second.mean(),
        first.means_without_each(),
        second.means_without_each(),
        prompt_strata(mine, theirs),
    )
    whole = rho(x.mean(0), y.mean(0))
    assert found.value == pytest.approx(whole)
    alone = [rho(without(x.mean(0), k), without(y.mean(0), k)) for k in range(N)]
    assert found.personas == pytest.approx(alone)

    def less(matrices: np.ndarray, names: list[str], prompt: str) -> np.ndarray:
        kept = [m for m, name in zip(matrices, names, strict=True) if name != prompt]
        return np.mean(kept, axis=0)

    groups = [
        [rho(less(x, mine, p), less(y, theirs, p)) for p in group] for group in ("bc", "az", "def")
    ]
    for ours, theirs_ in zip(found.prompts, groups, strict=True):
        assert ours == pytest.approx(theirs_)
    of_z = [spread(list(np.arctanh(group))) for group in groups]
    degrees = [1, 1, 2]
    df = sum(of_z) ** 2 / sum(v**2 / d for v, d in zip(of_z, degrees, strict=True))
    half = student_t.ppf(0.975, df) * np.sqrt(sum(of_z))
    interval = correlation_intervals(found)
    assert interval["prompts"]["df"] == pytest.approx(df)
    ends = np.tanh([np.arctanh(whole) - half, np.arctanh(whole) + half])
    assert [interval["prompts"][end] for end in ("low", "high")] == pytest.approx(ends)
    assert interval["dual"]["se"] == pytest.approx(
        np.sqrt(sum(of_z) + spread(list(np.arctanh(alone))))
    )


@pytest.mark.parametrize("theirs", [["a", "b", "c"], ["d", "e", "f"]])
def test_a_difference_leaves_the_same_out_of_both(theirs: list[str]) -> None:
    rng = np.random.default_rng(1)
    js, vectors = symmetric(rng, 2, 3), rng.standard_normal((2, 3, N, 4))
    studies = [
        jackknife(named(cosine(v)), named(d.mean(0)), stacked(d), v)
        for v, d in zip(vectors, js, strict=True)
    ]
    mine = ["a", "b", "c"]
    found = difference(studies[0], studies[1], prompt_strata(mine, theirs))

    def agreed(study: int, persona: int | None = None, prompt: int | None = None) -> float:
        v, d = vectors[study], js[study]
        if prompt is not None:
            v, d = np.delete(v, prompt, 0), np.delete(d, prompt, 0)
        x, y = cosine(v), d.mean(0)
        return rho(x, y) if persona is None else rho(without(x, persona), without(y, persona))

    value = agreed(0) - agreed(1)
    personas = [agreed(0, persona=k) - agreed(1, persona=k) for k in range(N)]
    assert found.value == pytest.approx(value) and found.personas == pytest.approx(personas)
    if theirs == mine:
        groups = [[agreed(0, prompt=k) - agreed(1, prompt=k) for k in range(3)]]
    else:
        groups = [
            [agreed(0, prompt=k) - agreed(1) for k in range(3)],
            [agreed(0) - agreed(1, prompt=k) for k in range(3)],
        ]
    assert len(found.prompts) == len(groups)
    for ours, direct in zip(found.prompts, groups, strict=True):
        assert ours == pytest.approx(direct)
    interval = difference_intervals(found)
    half = student_t.ppf(0.975, N - 1) * np.sqrt(spread(personas))
    assert interval["personas"]["high"] == pytest.approx(value + half)
    assert interval["prompts"]["se"] == pytest.approx(np.sqrt(sum(map(spread, groups))))


@pytest.mark.parametrize("value", [-1.9, 0.0, 1.9])
def test_intervals_of_differences_end_within_what_a_difference_can_be(value: float) -> None:
    wide = value + np.array([-0.5, 0.5, -0.5, 0.5, -0.5, 0.5])
    found = difference_intervals(LeftOut(value, wide, (wide,)))
    for kind in ("personas", "prompts", "dual"):
        low, high = found[kind]["low"], found[kind]["high"]
        assert -2 <= low < value < high <= 2
        assert (low, high) == (-2, 2) if value == 0 else -2 in (low, high) or 2 in (low, high)


def cosine(vectors: np.ndarray) -> np.ndarray:
    unit = vectors.mean(0) / np.linalg.norm(vectors.mean(0), axis=1, keepdims=True)
    return 1 - unit @ unit.T


def test_p_values_between_layers_are_exact_shares_of_all_relabelings() -> None:
    rng = np.random.default_rng(2)
    n = 5
    one, other = symmetric(rng, 3, n=n), symmetric(rng, 2, n=n)
    one[0] += 2 * other[1]
    found = between_layers([*map(named, one)], [*map(named, other)], Permutations.free(n, 200, 0))
    relabeled = [
        [[rho(x, y[np.ix_(order, order)]) for y in other] for x in one]
        for order in permutations(range(n))
    ]
    null = np.array(relabeled)
    observed = null[0]
    assert found["spearman"] == pytest.approx(observed)
    assert found["p"] == pytest.approx((null >= observed - 1e-9).mean(0))
    largest = null.max(axis=(1, 2))[:, None, None]
    assert found["family_wise_p"] == pytest.approx((largest >= observed - 1e-9).mean(0))
    assert np.isnan(found["low"]).all()  # five personas are too few to leave one out


def test_intervals_between_layers_are_those_of_each_two_layers_alone() -> None:
    rng = np.random.default_rng(4)
    one, other = ([named(m) for m in symmetric(rng, k)] for k in (3, 2))
    one[2] = one[2].of(np.round(one[2].vector, 1))  # with ties
    without = without_each_persona(one, other)
    found = between_layers(one, other, Permutations.free(N, 99, 0))
    for k, x in enumerate(one):
        for m, y in enumerate(other):
            assert without[:, k, m] == pytest.approx(jackknife(x, y).without["personas"], abs=1e-14)
            alone = correlation_intervals(second_order(x, y))["personas"]
            assert found["low"][k, m] == pytest.approx(alone["low"])
            assert found["high"][k, m] == pytest.approx(alone["high"])


def test_decoupled_pairs_against_all_relabelings_and_deletions() -> None:
    rng = np.random.default_rng(3)
    n = 6
    one, other = ([named(m) for m in symmetric(rng, 2, n=n)] for _ in range(2))
    found = agreement((one[0], one[1]), (other[0], other[1]), 4, Permutations.free(n, 720, 0))
    x, y = decoupling(*one), decoupling(*other)
    assert x is not None and y is not None
    moved = [
        Rdm.from_square(range(n), Rdm(other[0].names, y).square[np.ix_(o, o)]).vector
        for o in permutations(range(n))
    ]
    null = np.array([correlated(x, m) for m in moved])
    assert found["spearman"] == pytest.approx(null[0])
    assert found["p"] == pytest.approx((null >= null[0] - 1e-9).mean())
    overlaps = np.array([len(set(largest(x, 4)) & set(largest(m, 4))) for m in moved])
    assert found["overlap"] == overlaps[0] and found["expected"] == pytest.approx(16 / 15)
    assert found["expected"] == pytest.approx(overlaps.mean())
    assert found["overlap_p"] == pytest.approx((overlaps >= overlaps[0]).mean())
    alone = []
    for k in range(n):
        rest = [
            decoupling(*(named(without(rdm.square, k)) for rdm in study)) for study in (one, other)
        ]
        alone.append(correlated(rest[0], rest[1]))
    assert found["interval"]["se"] == pytest.approx(np.sqrt(spread(list(np.arctanh(alone)))))


def largest(values: np.ndarray, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-np.abs(values), kind="stable")[:k]]


def test_the_top_of_equal_pairs_is_their_first() -> None:
    assert top(np.array([1.0, -2.0, 2.0, 0.5]), 1).tolist() == [0, 1, 0, 0]


def test_what_does_not_vary_has_a_reason_and_no_number() -> None:
    flat, some = named(np.ones((N, N)) - np.eye(N)), named(symmetric(np.random.default_rng(4)))
    found = second_order(flat, some)
    assert np.isnan(found.value)
    assert "does not vary" in correlation_intervals(found)["personas"]["reason"]
    nothing = agreement((flat, some), (some, some), 3, Permutations.free(N, 99, 0))
    assert nothing["spearman"] is None and "radial" in nothing["reason"]
    cells = between_layers([flat, some], [some], Permutations.free(N, 99, 0))
    assert np.isnan(cells["p"][0, 0]) and cells["p"][1, 0] == 0.01
    assert cells["family_wise_p"][1, 0] == 0.01


def test_a_group_of_one_prompt_gives_no_interval() -> None:
    few = LeftOut(0.5, np.linspace(0.4, 0.6, N), (np.array([0.5]), np.array([0.4, 0.6])))
    found = correlation_intervals(few)
    assert found["prompts"]["low"] is found["dual"]["low"] is None
    assert found["personas"]["low"] is not None and "Fewer than two" in found["prompts"]["reason"]


def test_ranks_are_compared_and_no_nats() -> None:
    rng = np.random.default_rng(5)
    x, y = symmetric(rng), symmetric(rng)
    ranks = np.zeros((N, N))
    ranks[UPPER] = rankdata(y[UPPER])
    assert (
        second_order(named(x), named(y)).value
        == second_order(named(x), named(ranks + ranks.T)).value
    )


def test_means_without_each_label() -> None:
    stack: RdmStack = stacked(symmetric(np.random.default_rng(6), 3))
    rest = stack.means_without_each()
    assert rest[1] == pytest.approx(stack.vectors[[0, 2]].mean(0))
