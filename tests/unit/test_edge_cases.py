"""Statistics where rounding, ties, few pairs or many conditions could speak for themselves."""

from itertools import permutations as orders

import numpy as np
import pytest
from named import named
from whole_study import aligned

from persona_geometry.errors import InputError
from persona_geometry.rsa.asymmetry import kl_asymmetry
from persona_geometry.rsa.catalogue import Scope
from persona_geometry.rsa.cka import debiased_cka, kernel_cka, linear_cka
from persona_geometry.rsa.commonality import commonality
from persona_geometry.rsa.contrasts import contrasts
from persona_geometry.rsa.decoupling import TopPairs, z_scores
from persona_geometry.rsa.gates import check
from persona_geometry.rsa.intervals import NO_SPREAD
from persona_geometry.rsa.jackknife import Jackknife, intervals
from persona_geometry.rsa.permutation import Permutations, mantel, partial_mantel
from persona_geometry.rsa.reasons import TOO_FEW_PAIRS, reasons, why_null
from persona_geometry.rsa.residual import Residuals, partial_spearman
from persona_geometry.study.sections import Gate


def distances(n: int, seed: int) -> np.ndarray:
    raw = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    return raw + raw.T


@pytest.mark.parametrize("n", [167, 200, 287])
def test_a_constant_rdm_of_many_conditions_has_no_correlation(n: int) -> None:
    flat = named(0.3 * (1 - np.eye(n)))
    null = mantel([flat], named(distances(n, 0)), Permutations.free(n, 9, 0))
    assert np.isnan(null.observed[0]) and np.isnan(null.p_values()[0])


def test_tied_pairs_are_on_top_in_the_order_in_which_they_are_listed() -> None:
    n, rng = 8, np.random.default_rng(0)
    x, y = rng.random((2, n * (n - 1) // 2))
    seen = TopPairs(n, 3)
    rounding = 1 + 1e-15 * rng.standard_normal((50, len(x)))
    seen.see(x[None] * rounding, y[None] * rounding)
    assert set(seen.hits.tolist()) == {0, 50}


def test_p_of_the_asymmetric_parts_is_that_of_the_correlation_that_is_written() -> None:
    rng = np.random.default_rng(12)
    names = list("abcdef")
    kl = rng.random((6, 6))
    chosen = [(i, j) for i, j in orders(range(6), 2) if abs(i - j) != 1]
    outcomes = [(names[i], names[j], float(rng.random())) for i, j in chosen]

    def rho(labels: tuple[int, ...]) -> float:
        moved = kl[np.ix_(labels, labels)]
        found = kl_asymmetry(names, moved, outcomes, Permutations.free(6, 1, 0))
        return float(found["spearman"])

    every = Permutations.free(6, 720, 0)
    found = kl_asymmetry(names, kl, outcomes, every)
    all_rho = np.abs([rho(labels) for labels in orders(range(6))])
    assert found["p_two_sided"] == np.mean(all_rho >= abs(found["spearman"]) - 1e-10)


def test_intervals_of_differences_end_where_differences_do() -> None:
    one, other = (
        Jackknife(rho, {"prompts": np.array([rho - 0.5, rho + 0.5]), "personas": np.full(8, rho)})
        for rho in (0.5, -0.4)
    )
    (found,) = contrasts({1: one, 2: other})
    assert found["prompts"]["low"] is None  # both move alike, so nothing is seen of the difference
    moved = Jackknife(-0.4, {**other.without, "prompts": np.array([0.1, -0.9])})
    (found,) = contrasts({1: one, 2: moved})
    assert (found["prompts"]["low"], found["prompts"]["high"]) == (-2, 2)


def test_a_correlation_that_nothing_moves_has_no_interval() -> None:
    found = intervals(Jackknife(0.7, {"prompts": np.full(3, 0.7), "personas": np.full(6, 0.7)}))
    for kind in ("prompts", "personas", "dual"):
        assert found[kind]["low"] is None and found[kind]["reason"] == NO_SPREAD


def test_regressions_without_pairs_to_spare_are_not_read() -> None:
    rng = np.random.default_rng(0)
    y, *x = rng.random((5, 6))
    assert commonality(y, {"a": x[:2], "b": x[2:]})["reason"] == TOO_FEW_PAIRS
    assert partial_spearman(x[0], y, x[1:]) is None
    y, *x = rng.random((5, 10))
    found = commonality(y, {"a": x[:2], "b": x[2:]})
    assert found["columns"] == 4 and found["r2_adjusted"] == pytest.approx(
        1 - (1 - found["r2"]) * 9 / 5
    )


def test_partial_mantel_of_what_the_covariate_explains_is_undefined() -> None:
    x, y = named(distances(7, 0)), named(distances(7, 1))
    free = Permutations.free(7, 99, 0)
    for fixed, moved in ((x, y), (y, x)):
        assert np.isnan(partial_mantel(fixed, moved, [x], free).observed[0])


def test_a_residual_that_is_only_rounding_has_no_sign() -> None:
    rest = Residuals(named(distances(5, 0)), np.arange(10.0), named(distances(5, 1)), np.ones(10))
    rest.x = rest.x.of(np.array([1.0, -1.0, 2e-16, -2e-16, 1, -1, 1, -1, 1, -1]))
    scores = z_scores(rest)
    assert scores is not None and scores[0][2] == scores[0][3] == 0 and scores[0][0] > 0


def test_cka_of_rows_equal_but_for_rounding_is_undefined() -> None:
    rng = np.random.default_rng(1)
    x = np.tile(3 * rng.standard_normal(64), (7, 1)) + 1e-16 * rng.standard_normal((7, 64))
    kernel = rng.uniform(0.3, 0.9, (7, 7))
    kernel += kernel.T
    assert linear_cka(x, kernel) is debiased_cka(x, kernel) is kernel_cka(x, kernel) is None
    assert kernel_cka(rng.random((7, 5)), np.full((7, 7), 0.3)) is None


def test_a_flat_layer_has_no_spread_and_says_so() -> None:
    result = aligned(flat=True)
    dispersion = result["layers"]["1"]["dispersion"]
    assert dispersion["sd"] == 0 and dispersion["ratio_to_widest"] is None
    assert any("All cosine distances of layer 1 are equal" in line for line in result["warnings"])


def scope(personas: int, clusters: dict[str, str], permutations: int) -> Scope:
    names = [f"p{k}" for k in range(personas)]
    return Scope.of(names, clusters, [], [], [], permutations, {"covariates": False})


@pytest.mark.parametrize(("permutations", "remedy"), [(99, True), (10**6, False)])
def test_more_permutations_are_no_remedy_where_all_were_taken(
    permutations: int, remedy: bool
) -> None:
    gate = Gate.of(statistic="mantel_p", comparison="<", threshold=1e-9)
    with pytest.raises(InputError) as refusal:
        check([gate], scope(6, {}, permutations))
    assert ("raise alignment.permutations" in str(refusal.value)) is remedy


def test_a_gate_that_cannot_be_evaluated_has_the_reason_of_its_statistic() -> None:
    names = ("equivalence.p", "geometries.mean_centered.difference.value", "partial_joint")
    gates = [{"statistic": n, "comparison": "<", "threshold": 0.0, "layer": 1} for n in names]
    for gate in aligned(flat=True, gates=gates)["gates"]:
        assert gate["passed"] is None and "vary" in gate["reason"], gate


def test_a_power_that_is_not_reached_is_no_lack_of_variance() -> None:
    layer = aligned()["layers"]["1"]
    layer["stratified_power"]["detectable_rho"] = None
    layer["reasons"] = reasons(layer, {})
    assert "80 % power" in why_null("stratified_power.detectable_rho", layer)
