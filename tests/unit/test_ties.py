"""What is equal but for rounding is tied, wherever computed values are ranked."""

from fractions import Fraction

import numpy as np
import pytest
from named import named
from scipy.stats import rankdata, spearmanr

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks, merged, square
from persona_geometry.rsa.bootstrap import weighted_spearman
from persona_geometry.rsa.residual import radial_residuals
from persona_geometry.rsa.sensitivity import cluster_collapsed

FINE = ["a", "a", "a", "b", "b", "b", "c", "c", "c"]


def tenths(between: dict[tuple[str, str], list[int]]) -> tuple[Rdm, list[Fraction]]:
    """Nine personas whose distances between two clusters are nine given tenths, with the means."""
    values = np.zeros((9, 9))
    for (one, other), of_pairs in between.items():
        rows = [k for k, label in enumerate(FINE) if label == one]
        columns = [k for k, label in enumerate(FINE) if label == other]
        values[np.ix_(rows, columns)] = np.reshape(of_pairs, (3, 3)) / 10
    return named(values + values.T), [Fraction(sum(x), 90) for x in between.values()]


def test_averages_that_are_equal_but_for_rounding_are_tied() -> None:
    """Exact averages 3/10, 7/30 and 3/10 against 1, 2 and 3: the tie gives 0, its break 0.5."""
    x, exact = tenths(
        {
            ("a", "b"): [1, 2, 3, 4, 5, 3, 3, 3, 3],
            ("a", "c"): [1, 2, 3, 4, 5, 1, 2, 2, 1],
            ("b", "c"): [7, 1, 1, 6, 1, 7, 1, 1, 2],
        }
    )
    assert exact == [Fraction(3, 10), Fraction(7, 30), Fraction(3, 10)]
    y, _ = tenths({("a", "b"): [1] * 9, ("a", "c"): [2] * 9, ("b", "c"): [3] * 9})
    members = np.array([[label == name for label in FINE] for name in "abc"]) / 3
    averaged = members @ x.square @ members.T
    assert averaged[0, 1] != averaged[1, 2]
    assert cluster_collapsed(x, y, FINE)[0] == pytest.approx(0.0, abs=1e-12)


def test_ranks_are_those_of_scipy_where_no_tie_is_by_rounding() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.random((4, 50)), rng.integers(-3, 3, (4, 50)) / 7, np.zeros((2, 5))):
        assert (doubled_ranks(values) == 2 * rankdata(values, axis=-1)).all()
    assert doubled_ranks(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_tie_is_relative_to_the_largest_magnitude_and_chains(scale: float) -> None:
    values = scale * np.array([0.3, 0.1 + 0.2, 1.0, 0.3 + 2e-16, 0.3 + 1e-10])
    assert doubled_ranks(values).tolist() == [4, 4, 10, 4, 8]
    assert doubled_ranks(-values).tolist() == [8, 8, 2, 8, 4]
    steps = np.arange(5) * 0.8e-12
    assert doubled_ranks(np.append(steps, 1.0)).tolist() == [6] * 5 + [12]


def test_a_row_with_nan_has_no_order() -> None:
    assert len(set(doubled_ranks(np.array([0.2, np.nan, 0.1])))) == 1


def test_merged_values_are_equal_and_others_stay_to_the_bit() -> None:
    values = np.array([1.0, 0.1 + 0.2, 0.3, -2.0])
    assert merged(values, 2.0).tolist() == [1.0, 0.3, 0.3, -2.0]
    assert merged(values, 1e-9).tolist() == values.tolist()


def test_resamples_tie_what_is_tied_but_for_rounding() -> None:
    """Thirds of sums in another order; weights repeat points as a plain sample would."""
    x = np.array([0.1 + 0.2, 0.3, 0.2, 0.9, 0.5])
    y = np.array([1.0, 2.0, 3.0, 2.5, 0.5])
    exact = np.array([0.3, 0.3, 0.2, 0.9, 0.5])
    weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 1, 3], [1, 3, 0, 2, 1.0]])
    repeated = [np.repeat(np.arange(5), row.astype(int)) for row in weights]
    expected = [spearmanr(exact[rows], y[rows]).statistic for rows in repeated]
    assert weighted_spearman(x, y, weights) == pytest.approx(expected)


def test_residuals_that_are_equal_but_for_rounding_are_tied() -> None:
    """Two personas that are the same to all others leave the same residuals, however small."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        eccentricity, rest = rng.random(7), 1e-4 * square(rng.random(21), 7)
        values = eccentricity[:, None] + eccentricity + rest
        order = [0, 1, 2, 3, 4, 5, 6, 0]  # the last is the twin of the first
        twins = named(values[np.ix_(order, order)])
        found = radial_residuals(twins, named(square(rng.random(28), 8))).x.square
        assert found[0, 1:7].tolist() == found[7, 1:7].tolist()
