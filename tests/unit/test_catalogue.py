"""The catalogue of what can carry a gate has exactly the numbers that `align` returns."""

import json
from pathlib import Path

import pytest
from whole_study import CLUSTERS, NAMES, PROMPTS, aligned, numbers, numbers_at

from persona_geometry import rsa
from persona_geometry.rsa.catalogue import NO_GATES, Scope, catalogue
from persona_geometry.rsa.comparators import COMPARATORS
from persona_geometry.study.sections import Gate

RECORDED = Path(__file__).parents[1] / "fixtures" / "alignment.json"
STUDY_WIDE = ("layer_curve", "across_layers", "noise_ceiling", "geometries", "kl_asymmetry")
NOT_MEASURED = {
    *("n_personas", "n_pairs", "n_prompts", "permutations", "seed", "headline_layer"),
    "all_gates_pass",
}


def scope(**has: bool) -> Scope:
    everything = ["vectors", "two prompts", "covariates", "anchor", "bootstrap", "splits"]
    everything += ["smallest effect", *COMPARATORS]
    return Scope.of(
        NAMES[:-1],
        CLUSTERS,
        PROMPTS,
        [8],
        ["p1"],
        199,
        {**dict.fromkeys([*everything, "outcomes"], True), **has},
        ["mean_centered"],
    )


@pytest.fixture(scope="module")
def found() -> dict[str, float | None]:
    return numbers_at(2, aligned())


def test_catalogue_is_what_align_returns(found: dict[str, float | None]) -> None:
    assert set(catalogue(scope())) == set(found) - set(NO_GATES) - {"predictions.top_k"}


def test_nothing_of_the_study_is_forgotten() -> None:
    result = aligned()
    beside = {name.partition(".")[0] for name, _ in numbers(result)} - {"layers"}
    assert beside - NOT_MEASURED == set(STUDY_WIDE)


def test_values_lie_in_their_ranges(found: dict[str, float | None]) -> None:
    for name, statistic in catalogue(scope()).items():
        value = found[name]
        assert value is None or statistic.low <= value <= statistic.high, name


def test_every_statistic_can_carry_a_gate_at_its_layer(found: dict[str, float | None]) -> None:
    gates = [
        Gate(name, ">=", value, 2)
        for name, value in found.items()
        if value is not None and name not in NO_GATES and name != "predictions.top_k"
    ]
    result = aligned(gates=gates)
    assert {gate["statistic"]: gate["value"] for gate in result["gates"]} == {
        gate.statistic: gate.threshold for gate in gates
    }
    assert result["all_gates_pass"] is True and result["layers"]["1"]["gates"] != result["gates"]
    assert set(result["gates"][0]) == {
        *("layer", "statistic", "comparison", "threshold", "value", "passed", "status", "reason")
    }


@pytest.mark.parametrize(
    ("lacks", "statistic"),
    [
        ("vectors", "cka.linear"),
        ("anchor", "with_anchor.mantel_p"),
        ("bootstrap", "bootstrap.personas.low"),
        ("splits", "noise_ceiling.rho_ceiling"),
        ("outcomes", "outcomes.js.spearman"),
        ("outcomes", "kl_asymmetry.p_two_sided"),
        ("tau_a", "comparators.tau_a"),
        ("smallest effect", "geometries.mean_centered.difference.equivalence.p"),
    ],
)
def test_what_a_statistic_needs_is_known(lacks: str, statistic: str) -> None:
    without = scope(**{lacks: False})
    assert catalogue(without)[statistic].needs - without.has == {lacks}
    assert not any(one.needs - scope().has for one in catalogue(scope()).values())


def test_numbers_change_only_with_the_method(found: dict[str, float | None]) -> None:
    recorded = json.loads(RECORDED.read_text())
    both = found, recorded["numbers"]
    remedy = "raise METHOD of persona_geometry.rsa and run tests/fixtures/make_alignment.py"
    assert recorded["method"] == rsa.METHOD, remedy
    missing = float("nan")  # stands for null
    now, then = ({k: missing if v is None else v for k, v in x.items()} for x in both)
    assert now == pytest.approx(then, rel=1e-6, abs=1e-9, nan_ok=True), remedy
