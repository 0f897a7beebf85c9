"""The streams of permutations: what is drawn, in which order, and what a p-value may be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from named import named

from persona_geometry.rdms.triangle import doubled_ranks, square, vectorize
from persona_geometry.rsa.permutation import (
    Null,
    Permutations,
    mantel,
    mantel_p_values,
    permuted_products,
)

STRATA = ["a"] * 5 + [None] * 3 + ["b"] * 4


def whole(permutations: Permutations, size: int = 10**6) -> np.ndarray:
    return np.concatenate(list(permutations.chunks(size)))


def matrix(seed: int, n: int, ties: bool = False) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(n * (n - 1) // 2)
    return square(np.round(values) if ties else values, n)


@given(
    strata=st.none() | st.lists(st.sampled_from(["a", "b", None]), min_size=2, max_size=12),
    count=st.integers(1, 300),
    size=st.integers(1, 320),
)
def test_stream_does_not_depend_on_chunks(
    strata: list[str | None] | None, count: int, size: int
) -> None:
    """Drawn or, where there are no more than `count`, enumerated."""
    of = Permutations.within(strata, count, 5) if strata else Permutations.free(12, count, 5)
    rows = whole(of)
    assert (np.sort(rows, axis=1) == np.arange(of.n)).all()
    chunks = list(of.chunks(size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert np.array_equal(np.concatenate(chunks), rows)


@pytest.mark.parametrize(
    "permutations",
    [Permutations.free(12, 1000, 5), Permutations.within(STRATA, 1000, 5)],
    ids=["free", "within strata"],
)
def test_stream_is_seeded(permutations: Permutations) -> None:
    rows = whole(permutations)
    assert rows.shape == (1000, 12)
    assert np.array_equal(whole(permutations), rows)
    other = Permutations(12, permutations.groups, 1000, 6)
    assert not np.array_equal(whole(other), rows)


def test_strata_keep_their_members_and_move_independently() -> None:
    rows = whole(Permutations.within(STRATA, 2_000, 0))  # 2,880 are possible
    assert set(np.unique(rows[:, :5])) == set(range(5))
    assert (rows[:, 5:8] == [5, 6, 7]).all()
    # Every pair of places in the two strata is taken equally often: 20 cells of 100 each.
    counts = np.bincount(rows[:, 0] * 4 + rows[:, 8] - 8, minlength=20)
    assert ((counts - 100) ** 2 / 100).sum() < 50  # chi-squared, 19 degrees: p = 1e-4


def test_free_stream_is_uniform() -> None:
    rows = whole(Permutations.free(4, 23, 0))  # 24 are possible
    assert len(rows) == 23
    drawn = Permutations(8, ((0, 1, 2, 3),), 23, 0)
    many = np.concatenate([whole(Permutations(8, drawn.groups, 23, s)) for s in range(500)])
    _, counts = np.unique(many, axis=0, return_counts=True)
    expected = len(many) / 24
    assert len(counts) == 24
    assert ((counts - expected) ** 2 / expected).sum() < 56  # 23 degrees: p = 1e-4


def test_inverse_stream_relabels_the_other_side() -> None:
    x, y = named(matrix(0, 9)), named(matrix(1, 9, ties=True))
    permutations = Permutations.free(9, 500, 2)
    direct, swapped = mantel([x], y, permutations), mantel([y], x, permutations.inverse())
    assert np.array_equal(direct.permuted, swapped.permuted)
    assert direct.p_values() == swapped.p_values()
    assert permutations.inverse().inverse() == permutations


@pytest.mark.parametrize("n", [3, 19, 40])
def test_products_are_those_of_relabeled_matrices(n: int) -> None:
    fixed = np.stack([doubled_ranks(vectorize(matrix(seed, n, seed == 1))) for seed in range(3)])
    moved = doubled_ranks(vectorize(matrix(7, n, ties=True)))
    permutations = Permutations(n, (tuple(range(n)),), 5, 0)
    table = square(moved, n)
    expected = [fixed @ vectorize(table[np.ix_(row, row)]) for row in whole(permutations)]
    assert np.array_equal(permuted_products(fixed, moved, permutations), expected)


def test_permutations_that_change_nothing_always_count() -> None:
    """Two blocks of equal personas: 2 x 4! x 4! of the 8! permutations give the very statistic."""
    block = np.kron(np.array([[0.1, 0.7], [0.7, 0.1]]), np.ones((4, 4))) / 3
    np.fill_diagonal(block, 0)
    null = mantel(
        [named(block), named(1e-9 * block + 1 / 3)], named(block), Permutations.free(8, 50_000, 0)
    )
    assert null.permutations.enumerated
    share = 2 * math.factorial(4) ** 2 / math.factorial(8)
    assert null.p_values().tolist() == [share, share]


def test_sampled_and_enumerated_p_values_count_the_identity_once() -> None:
    x = named(matrix(3, 7))
    enumerated = mantel([x], x, Permutations.free(7, math.factorial(7), 0))
    assert enumerated.p_values()[0] == 1 / math.factorial(7) == enumerated.permutations.smallest_p
    sampled = mantel([x], x, Permutations.free(7, 99, 0))
    assert sampled.p_values()[0] == 1 / 100 == sampled.permutations.smallest_p
    lowest = mantel([x], x.of(-x.vector), Permutations.free(7, 99, 0))
    assert lowest.p_values()[0] == 1.0


def test_summary_describes_the_null_distribution() -> None:
    permutations = Permutations.free(3, 6, 0)
    values = np.arange(6.0)[:, None] / 10
    summary = Null(np.array([0.5]), values, permutations).summary(0)
    assert summary["mean"] == pytest.approx(0.25)
    assert summary["sd"] == pytest.approx(np.std(values))
    assert summary["quantiles"]["0.5"] == pytest.approx(0.25)
    assert summary["quantiles"]["0.95"] == pytest.approx(0.475)
    assert (summary["permutations"], summary["possible"], summary["enumerated"]) == (6, 6, True)
    many = Null(np.array([0.5]), values, Permutations.free(300, 6, 0)).summary(0)
    assert many["possible"] is None and many["smallest_p"] == 1 / 7


@pytest.mark.parametrize("n", [5, 12])
def test_p_values_alone_are_those_of_the_whole_null_distributions(n: int) -> None:
    """Enumerated and sampled, with ties, and with an RDM that does not vary."""
    fixed = [named(matrix(seed, n, ties=True)) for seed in range(4)] + [named(np.zeros((n, n)))]
    moved, permutations = named(matrix(9, n, ties=True)), Permutations.free(n, 400, 1)
    assert permutations.enumerated == (n == 5)
    for stream in (permutations, permutations.inverse()):
        expected = mantel(fixed, moved, stream).p_values()
        np.testing.assert_array_equal(mantel_p_values(fixed, moved, stream), expected)
        assert np.isnan(expected[-1]) and not np.isnan(expected[:-1]).any()
