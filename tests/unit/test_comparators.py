"""Comparators of RDMs, equivalence tests and adjusted p-values against other packages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from named import named

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.comparators import (
    compared,
    rho_a,
    tau_a,
    whitened,
    whitened_cosine,
    whitened_cosine_test,
)
from persona_geometry.rsa.equivalence import equivalence
from persona_geometry.rsa.intervals import Spread, fisher_interval, no_interval, t_interval
from persona_geometry.rsa.multiplicity import (
    fdr_q_values,
    p_values_of_families,
    step_down_p_values,
)
from persona_geometry.rsa.permutation import (
    Permutations,
    correlations,
    mantel,
    mantel_p_values,
)

RECORDED = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "comparators.json").read_text(encoding="utf-8")
)


def pair(case: dict[str, Any]) -> tuple[Rdm, Rdm]:
    names = tuple(map(str, range(case["n"])))
    return Rdm(names, np.array(case["x"])), Rdm(names, np.array(case["y"]))


@pytest.mark.parametrize("case", RECORDED["rdms"], ids=lambda case: str(case["n"]))
@pytest.mark.parametrize(
    ("ours", "theirs"), [(rho_a, "rho-a"), (tau_a, "tau-a"), (whitened_cosine, "cosine_cov")]
)
def test_comparators_are_those_of_rsatoolbox(ours: Any, theirs: str, case: dict[str, Any]) -> None:
    assert ours(*pair(case)) == pytest.approx(case[theirs], abs=1e-9)


def test_whitening_inverts_the_covariance_of_distances() -> None:
    rows, columns = np.triu_indices(6, 1)
    pairs = np.stack([rows, columns], axis=1)
    shares = (pairs[:, None, :, None] == pairs[None, :, None, :]).sum((2, 3))
    covariance = np.choose(shares, [0.0, 1.0, 4.0])
    vector = np.random.default_rng(0).random(15)
    assert covariance @ whitened(vector, 6) == pytest.approx(vector)


def test_whitened_cosine_is_tested_over_every_relabeling() -> None:
    rng = np.random.default_rng(1)
    x, y = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in rng.random((2, 5, 5)))
    found = whitened_cosine_test(x, y, Permutations.free(5, 120, 0))
    relabeled = [
        whitened_cosine(x, y.of(y.select([f"p{i}" for i in order]).vector))
        for order in np.concatenate(list(Permutations.free(5, 120, 0).chunks(60)))
    ]
    reached = sum(value >= found["value"] - 1e-10 for value in relabeled)  # type: ignore[operator]
    assert found["mantel_p"] == reached / 120 and 1 < reached < 120


def test_what_is_not_chosen_is_not_computed() -> None:
    x = named(1.0 - np.eye(4))
    found = compared(["tau_a"], x, x, None, Permutations.free(4, 99, 0))
    assert found["tau_a"] == 0.0 and found["rho_a"] is None
    assert found["whitened_cosine"] == {"value": None, "mantel_p": None}


@pytest.mark.parametrize("case", RECORDED["equivalence"], ids=lambda case: str(case["delta"]))
def test_equivalence_is_two_one_sided_t_tests(case: dict[str, float]) -> None:
    sample = np.array(RECORDED["sample"])
    spread = Spread(sample.var(ddof=1) / len(sample), len(sample) - 1)
    mean = float(sample.mean())
    found = equivalence(mean, t_interval(mean, spread), case["delta"])
    assert found["p"] == pytest.approx(case["p"], rel=1e-9)
    assert (found["verdict"] == "equivalent") == (case["p"] <= 0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_verdict_follows_effect_and_spread(sign: int) -> None:
    def verdict(rho: float, se: float) -> str | None:
        interval = fisher_interval(sign * rho, Spread(se**2, 20))
        found: str | None = equivalence(sign * rho, interval, 0.2, fisher=True)["verdict"]
        return found

    assert verdict(0.02, 0.05) == "equivalent"
    assert verdict(0.02, 0.3) == "undecided"
    assert verdict(0.6, 0.05) == "beyond"
    assert verdict(0.6, 0.5) == "undecided"
    assert verdict(0.2, 0.0) is None  # no spread is seen, which is no certainty


def test_without_an_interval_nothing_is_said_of_equality() -> None:
    assert equivalence(0.0, no_interval("too few"), 0.2)["verdict"] is None


def test_false_discovery_rate_is_that_of_statsmodels() -> None:
    p = np.array([*RECORDED["p"], np.nan])
    assert fdr_q_values(p)[:-1] == pytest.approx(RECORDED["fdr"], rel=1e-12)
    assert np.isnan(fdr_q_values(p)[-1])


def test_step_down_compares_each_with_the_largest_of_those_below() -> None:
    rng = np.random.default_rng(2)
    y, *xs = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in rng.random((6, 6, 6)))
    xs = [*(x.of(x.vector + weight * y.vector) for weight, x in zip((2, 1, 0.3), xs, strict=False))]
    xs += [named(1.0 - np.eye(6))]  # without a statistic
    null = mantel(xs, y, Permutations.free(6, 720, 0))
    found, single = step_down_p_values(null), null.family_wise_p_values()
    alive, last = [0, 1, 2], 0.0
    for k in sorted(alive, key=lambda k: -null.observed[k]):
        largest = null.permuted[:, alive].max(1)
        last = max(last, float((largest >= null.observed[k] - 1e-10).mean()))
        assert found[k] == pytest.approx(last)
        alive.remove(k)
    assert np.isnan(found[3]) and (found[:3] <= single[:3]).all() and (found[:3] < single[:3]).any()


def test_families_are_adjusted_apart() -> None:
    rng = np.random.default_rng(3)
    y, *xs = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in rng.random((6, 7, 7)))
    free = Permutations.free(7, 500, 0)
    p, two_sided, adjusted = p_values_of_families(xs, y, free, [slice(0, 2), slice(2, 5)])
    assert two_sided.tolist() == mantel(xs, y, free).two_sided_p_values().tolist()
    assert p.tolist() == mantel_p_values(xs, y, free).tolist()
    for family in (slice(0, 2), slice(2, 5)):
        assert adjusted[family] == pytest.approx(step_down_p_values(mantel(xs[family], y, free)))


@pytest.mark.parametrize("n", [19, 27, 28], ids=["small", "last in single precision", "first"])
def test_products_of_ranks_are_exact_in_either_precision(n: int) -> None:
    """A matrix with itself, in place, gives the largest sum; ties and signs give others."""
    rng = np.random.default_rng(n)
    y, x = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in rng.random((2, n, n)))
    xs = [y, y.of(-y.vector), x, x.of(np.round(x.vector, 1)), named(1.0 - np.eye(n))]
    first_six = Permutations(n, (tuple(range(6)),), 720, 0)
    observed, chunks = correlations(xs, y, first_six)
    null = mantel(xs, y, first_six)
    assert np.array_equal(observed, null.observed, equal_nan=True)
    assert np.array_equal(np.concatenate(list(chunks), axis=1), null.permuted.T, equal_nan=True)


def test_two_sided_p_counts_both_tails() -> None:
    rng = np.random.default_rng(4)
    x, y = (named(np.triu(m, 1) + np.triu(m, 1).T) for m in rng.random((2, 6, 6)))
    null = mantel([x, x.of(-x.vector)], y, Permutations.free(6, 720, 0))
    reached = np.abs(null.permuted[:, 0]) >= abs(null.observed[0]) - 1e-10
    assert null.two_sided_p_values() == pytest.approx([reached.mean()] * 2)
