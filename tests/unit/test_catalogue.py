"""The catalogue of what can carry a gate has exactly the numbers that `align` returns."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from named import named, stacked

from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.catalogue import NO_GATES, Scope, catalogue
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Alignment, Gate

NAMES = [*(f"p{k}" for k in range(7)), "anchor"]
CLUSTERS = {"p0": "a", "p1": "a", "p2": "a", "p3": "b", "p4": "b"}
PROMPTS = [f"q{k}" for k in range(4)]
SETTINGS = {
    "permutations": 199,
    "seed": 0,
    "bootstrap": 20,
    "noise_ceiling_splits": 10,
    "leave_out": ["p1"],
    "predictions": [["p0", "p5"]],
}
STUDY_WIDE = ("layer_curve", "across_layers", "noise_ceiling")
NOT_MEASURED = {
    *("n_personas", "n_pairs", "n_prompts", "permutations", "seed", "headline_layer"),
    "all_gates_pass",
}


def aligned(**settings: Any) -> dict[str, Any]:
    """A study that has everything."""
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.1, 0.6, (4, 8, 8))
    by_prompt = np.triu(raw, 1) + np.triu(raw, 1).transpose(0, 2, 1)
    pay = named(by_prompt[0] * by_prompt[3], NAMES)
    whole = Geometries(
        anchor="anchor",
        clusters=CLUSTERS,
        cosine={layer: named(by_prompt[:layer].mean(0), NAMES) for layer in (1, 2, 3)},
        divergence={
            "8": named(by_prompt[1:].mean(0), NAMES),
            "full": named(by_prompt.mean(0), NAMES),
        },
        by_prompt=dict.fromkeys(("8", "full"), stacked(by_prompt, NAMES)),
        vectors={layer: rng.standard_normal((4, 8, 5)) for layer in (1, 2)},
        covariates={"pay": pay},
        outcomes=[(a, b, rng.random()) for a in NAMES[:-1] for b in NAMES[:-1] if a != b],
    )
    alignment = Alignment.of(**{**SETTINGS, "gates": [], **settings})
    return align(whole, alignment, [1, 2], 2, "s", "js", lambda _line: None)


def scope(**has: bool) -> Scope:
    everything = ("vectors", "covariates", "anchor", "bootstrap", "splits", "outcomes")
    return Scope.of(
        NAMES[:-1], CLUSTERS, PROMPTS, [8], ["p1"], 199, {**dict.fromkeys(everything, True), **has}
    )


def numbers(value: Any, prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """The numbers in nested results, by dotted name, and the nulls that stand for one.

    Lists are tables and no single numbers.
    """
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from numbers(inner, f"{prefix}{name}.")
        elif isinstance(inner, int | float | None) and not isinstance(inner, bool):
            yield prefix + name, inner


@pytest.fixture(scope="module")
def found() -> dict[str, float | None]:
    """Every number that a gate at layer 2 could be about."""
    result = aligned()
    layer = dict(numbers(result["layers"]["2"]))
    whole = {
        "layer_curve": result["layer_curve"]["2"],
        "across_layers": {name: p["2"] for name, p in result["across_layers"].items()},
        "noise_ceiling": result["noise_ceiling"],
    }
    return layer | dict(numbers(whole))


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
        *("layer", "statistic", "comparison", "threshold", "value", "status")
    }


@pytest.mark.parametrize(
    ("lacks", "statistic"),
    [
        ("vectors", "cka.linear"),
        ("anchor", "with_anchor.mantel_p"),
        ("bootstrap", "bootstrap.personas.low"),
        ("splits", "noise_ceiling.rho_ceiling"),
        ("outcomes", "outcomes.js.spearman"),
    ],
)
def test_what_a_statistic_needs_is_known(lacks: str, statistic: str) -> None:
    without = scope(**{lacks: False})
    assert catalogue(without)[statistic].needs - without.has == {lacks}
    assert not any(one.needs - scope().has for one in catalogue(scope()).values())
