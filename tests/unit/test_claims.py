"""A claim's words fit the result, the power and the direction of its test: a grid of outcomes."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole_study import aligned

from persona_geometry.report import claims
from persona_geometry.report.claims import CLAIMS, VERBS, claim
from persona_geometry.report.counts import COUNTS, counted
from persona_geometry.report.sourced import mark, sourced

RHOS = (None, -0.4, 0.0, 0.3)
PS = (None, 0.001, 0.05, 0.0501, 0.9)


def layer(rho: float | None, p: float | None, both: float | None, floor: float) -> dict[str, Any]:
    return {
        **{"spearman": rho, "mantel_p": p, "mantel_p_two_sided": both},
        "mantel_null": {"smallest_p": floor},
        **{"residual_mean_marginal": rho, "residual_mean_marginal_p": p},
    }


@pytest.mark.parametrize("floor", [0.001, 0.17])
@pytest.mark.parametrize(("rho", "p", "both"), list(product(RHOS, PS, PS)))
def test_geometries_agree_only_where_the_test_finds_it(
    rho: float | None, p: float | None, both: float | None, floor: float
) -> None:
    text = claims.agreement(layer(rho, p, both, floor))
    known = rho is not None and p is not None
    assert (text == "agree") == (known and floor < 0.05 and rho > 0 and p <= 0.05)
    assert (text == "disagree") == (
        known and floor < 0.05 and rho < 0 and both is not None and both <= 0.05
    )
    assert ("could not" in text) == (not known)
    assert ("cannot" in text) == (known and floor > 0.05)


@pytest.mark.parametrize("floor", [0.001, 0.17])
@pytest.mark.parametrize(("rho", "p"), list(product(RHOS, PS)))
def test_agreement_beyond_radial_structure_is_that_of_its_test(
    rho: float | None, p: float | None, floor: float
) -> None:
    text = claims.beyond_radial(layer(rho, p, None, floor))
    tested = rho is not None and p is not None and floor < 0.05
    assert (text == "was found") == (tested and rho > 0 and p <= 0.05)
    assert (text == "was not found") == (tested and not (rho > 0 and p <= 0.05))


@pytest.mark.parametrize("curve", [[], [{}]])
@pytest.mark.parametrize("detectable", [None, 0.4])
@pytest.mark.parametrize("floor", [0.002, 0.08])
@pytest.mark.parametrize(("rho", "p"), list(product((*RHOS, 0.4, 0.9), PS)))
def test_what_was_missed_is_told_by_power(
    rho: float | None, p: float | None, floor: float, detectable: float | None, curve: list
) -> None:
    power = {
        **{"smallest_p": floor, "power_curve": curve},
        **{"observed_rho": rho, "detectable_rho": detectable},
    }
    text = claims.within_clusters({"stratified_mantel_p": p, "stratified_power": power})
    tested = p is not None and floor < 0.05 and curve and rho is not None
    assert (text == "was found") == bool(tested and rho > 0 and p <= 0.05)
    assert ("was not found" in text) == bool(tested and not (rho > 0 and p <= 0.05))
    missed = tested and rho > 0 and p > 0.05
    weak = detectable is None or (rho is not None and rho < detectable)
    assert ("misses most" in text) == bool(missed and weak)
    assert ("finds most" in text) == bool(missed and not weak)


def test_without_clusters_nothing_within_them_is_tested() -> None:
    found = {"stratified_mantel_p": None, "stratified_power": None}
    assert "was not tested" in claims.within_clusters(found)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_layers_are_told_apart_by_their_interval(low: float, high: float) -> None:
    low, high = sorted((low, high))
    text = claims.contrast({"difference": 0.1, "dual": {"low": low, "high": high, "reason": None}})
    assert ("higher" in text) == (low > 0)
    assert ("lower" in text) == (high < 0 and not low > 0)
    assert ("not told apart" in text) == (low <= 0 <= high)


@pytest.mark.parametrize("status", [True, False, None])
@pytest.mark.parametrize("value", [None, 0.4, 0.5, 0.6])
def test_a_gate_passes_by_its_value(value: float | None, status: bool | None) -> None:
    text = claims.gate({"passed": status, "value": value, "comparison": ">", "threshold": 0.5})
    assert (text == "not evaluated") == (value is None or status is None)
    assert (text == "pass") == (value == 0.6 and status is not None)


def test_confidence_is_high_only_without_a_doubt() -> None:
    alignment = aligned(gates=[])
    of = alignment["layers"]["2"]
    gate = {"passed": True}
    good = layer(0.5, 0.001, 0.001, 0.001) | {
        "stratified_mantel_p": 0.01,
        "stratified_power": {
            **{"smallest_p": 0.001, "power_curve": [{}], "observed_rho": 0.4},
            "detectable_rho": 0.3,
        },
        "predictions": {"all_in_top_k": True},
        "intervals": {"dual": {"low": 0.2, "high": 0.7, "reason": None}},
    }
    of |= good
    alignment["gates"] = [gate]
    assert claims.confidence(alignment) == "high"
    for doubt, change in {
        "prediction": {"predictions": {"all_in_top_k": False}},
        "interval": {"intervals": {"dual": {"low": -0.1, "high": 0.7, "reason": None}}},
        "clusters": {"stratified_power": None},
        "radial": {"residual_mean_marginal_p": 0.2},
    }.items():
        alignment["layers"]["2"] = {**of, **change}
        assert claims.doubts(alignment) == [doubt]
        assert claims.confidence(alignment) == "moderate"
    alignment["layers"]["2"] = of
    alignment["n_prompts"] = 1
    assert claims.doubts(alignment) == ["prompts"]
    gate["passed"] = False
    assert claims.confidence(alignment) == "low"
    gate["passed"] = True
    of["mantel_p"] = 0.2
    assert claims.confidence(alignment) == "low"


def test_a_claim_carries_what_it_rests_on() -> None:
    row = {"z_cos": -1.0, "z_js": 2.0}
    assert claim("direction", row) == "near in hidden states, far in behavior"
    told = claim("direction", sourced(row, "alignment.json"))
    assert told == mark(claim("direction", row), sourced(row, "alignment.json"), "claim:direction")


@pytest.mark.parametrize(
    "sentence",
    [
        *("They agree.", "It holds.", "It was not found.", "The gate fails.", "A predicts B."),
        *("ρ rises.", "It survives.", "It is higher than that.", "They differ.", "It passed."),
        *("ρ increases with depth.", "A explains B.", "It is significant.", "It reveals B."),
        *(
            "A determines B.",
            "This suggests it.",
            "A reflects B.",
            "It exceeds that.",
            "A causes B.",
        ),
    ],
)
def test_verbs_that_claim_are_known(sentence: str) -> None:
    assert VERBS.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        *("Its agreement is.", "The prediction.", "It is found at ∎ of ∎ layers.", "So far."),
        *("It explains ∎ of the variance.", "They explain R² = ∎ of the ranks.", "Match by name"),
    ],
)
def test_other_words_claim_nothing(sentence: str) -> None:
    assert not VERBS.search(sentence)


def test_counts_are_those_of_their_source() -> None:
    values = {"a": 0.6, "b": None, "c": 0.5, "d": 0.01}
    expected = {"entries": 4, "known": 3, "above_half": 1, "at_level": 1}
    assert {kind: counted(kind, values) for kind in expected} == expected
    assert f"{counted('known', sourced(values, 'f'))}".startswith("\ue000f#\ue001count:known")
    assert COUNTS["cut"]({"q": {"finish_reason": "length"}, "r": {"finish_reason": "stop"}}) == 1
    assert set(CLAIMS) & set(COUNTS) == set()
