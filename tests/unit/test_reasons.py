"""Every null of alignment.json has a reason in words: over studies that lack one thing each."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from named import named, stacked

from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.catalogue import NEEDS
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.reasons import OTHERWISE, why_null
from persona_geometry.study.sections import Alignment

SETTINGS: dict[str, Any] = {
    "permutations": 19,
    "seed": 0,
    "bootstrap": 20,
    "noise_ceiling_splits": 3,
    "leave_out": ["p1"],
    "predictions": [["p0", "p2"]],
    "comparators": ["rho_a", "tau_a", "whitened_cosine"],
    "smallest_effect": 0.2,
    "top_k": 3,
    "gates": [{"statistic": "spearman", "comparison": ">", "threshold": 0.1, "layer": 1}],
}
PAIRED = {f"p{k}": "abc"[k // 2] for k in range(5)}


def study(
    n: int = 7,
    prompts: int = 3,
    clusters: dict[str, str] = PAIRED,
    flat: tuple[str, ...] = (),
    lacks: tuple[str, ...] = (),
    shift: float = 2.0,
    **settings: Any,
) -> dict[str, Any]:
    """A study with everything but what it lacks, whose geometries vary but for those named."""
    rng = np.random.default_rng(n)
    names = [f"p{k}" for k in range(n)] + ["anchor"] * ("anchor" not in lacks)
    raw = rng.uniform(0.1, 0.6, (prompts, len(names), len(names)))
    js = np.triu(raw, 1) + np.triu(raw, 1).transpose(0, 2, 1)
    if "js" in flat:
        js[:] = 0.3 * (1 - np.eye(len(names)))
    if "one prompt" in flat:
        js[0] = 0.3 * (1 - np.eye(len(names)))
    vectors = {x: rng.standard_normal((prompts, len(names), 9)) + shift for x in (1, 2)}
    cosine = {}
    for layer, of in vectors.items():
        if "cosine" in flat and layer == 1:
            of[:] = np.eye(len(names), 9)
        unit = of.mean(0) / np.linalg.norm(of.mean(0), axis=1, keepdims=True)
        cosine[layer] = named(1 - unit @ unit.T, names)
    stack, asked = stacked(js, names), [name for name in names if name != "anchor"]
    whole = Geometries(
        anchor=None if "anchor" in lacks else "anchor",
        clusters={name: label for name, label in clusters.items() if name in names},
        cosine=cosine,
        divergence={"8": stack.mean(), "full": stack.mean()},
        by_prompt=None if "prompts" in lacks else {"8": stack, "full": stack},
        vectors=None if "vectors" in lacks else vectors,
        outcomes=None
        if "outcomes" in lacks
        else [(a, b, float(rng.random())) for a in asked for b in asked if a != b],
        others={"mean_centered": cosine},
        lexical=None if "lexical" in lacks else named(js[0] + js[-1], names),
        kl=None if {"kl", "prompts", "outcomes"} & set(lacks) else raw[0],
    )
    chosen = Alignment.of(**{**SETTINGS, **settings})
    return align(whole, chosen, [1, 2], 1, "s", "js", lambda _line: None)


def nulls(of: Any, path: tuple[str, ...] = (), said: str | None = None) -> Iterator[tuple]:
    """The path of every null, and the `reason` nearest around it."""
    if isinstance(of, dict):
        said = of.get("reason") or said
        for key, value in of.items():
            if key not in ("reason", "reasons"):
                yield from nulls(value, (*path, key), said)
    elif isinstance(of, list):
        for value in of:
            yield from nulls(value, path, said)
    elif of is None:
        yield path, said


STUDIES: dict[str, dict[str, Any]] = {
    "everything": {},
    "one prompt": {"prompts": 1},
    "two prompts": {"prompts": 2},
    "three personas": {"n": 3},
    "four personas": {"n": 4},
    "no clusters": {"clusters": {}},
    "clusters of one": {"clusters": {f"p{k}": f"c{k}" for k in range(7)}},
    "one cluster": {"clusters": {f"p{k}": "c" for k in range(7)}},
    "a flat layer": {"flat": ("cosine",)},
    "flat divergences": {"flat": ("js",)},
    "one flat prompt": {"flat": ("one prompt",)},
    "vectors that only noise": {"shift": 0.0},
    "every pair on top": {"top_k": 99},
    "no bootstrap": {"bootstrap": 0},
    "no splits": {"noise_ceiling_splits": 0},
    "no comparators": {"comparators": []},
    "no smallest effect": {"smallest_effect": None},
    "no predictions": {"predictions": []},
    "no gates": {"gates": []},
    **{f"no {what}": {"lacks": (what,)} for what in ("anchor", "prompts", "vectors", "lexical")},
    **{f"no {what}": {"lacks": (what,)} for what in ("outcomes", "kl")},
    "RDMs alone": {"lacks": ("prompts", "vectors"), "clusters": {}},
}


@cache
def found(name: str) -> dict[str, Any]:
    return study(**STUDIES[name])


@pytest.mark.parametrize("name", STUDIES)
def test_every_null_says_why_and_no_reason_is_given_for_what_has_a_value(name: str) -> None:
    result = found(name)
    of_study = {key: value for key, value in result.items() if key != "layers"}
    for of in (of_study, *result["layers"].values()):
        unsaid = [path for path, said in nulls(of) if said is None]
        for path in unsaid:
            assert why_null(".".join(path), of) != OTHERWISE, path
        for of_what in of["reasons"]:
            assert any(
                set(of_what.split(".")) <= set(".".join(path).split(".")) for path in unsaid
            ), of_what


@pytest.mark.parametrize(
    ("name", "statistic", "reason"),
    [
        ("one prompt", "noise_ceiling", "A single prompt has no halves."),
        ("no prompts", "noise_ceiling", "The divergences come from a file"),
        ("no splits", "noise_ceiling", "alignment.noise_ceiling_splits is 0."),
        ("flat divergences", "noise_ceiling", "of a half of the prompts do not vary."),
        ("no vectors", "split_prompts", "The cosines come from a file"),
        ("one prompt", "split_prompts", "A single prompt has no halves."),
        ("three personas", "residual_mean_marginal", "beyond its radial structure"),
        ("no anchor", "with_anchor", NEEDS["anchor"]),
        ("no bootstrap", "bootstrap", NEEDS["bootstrap"]),
        ("no clusters", "stratified_mantel_p", NEEDS["strata"]),
        ("no clusters", "leave_out.p1.partial_joint", NEEDS["clusters"]),
        ("a flat layer", "leave_out.p1.spearman", "does not vary"),
        ("no outcomes", "kl_asymmetry", NEEDS["outcomes"]),
        ("no smallest effect", "equivalence", NEEDS["smallest effect"]),
        ("no comparators", "comparators.rho_a", "alignment.comparators names none."),
        ("a flat layer", "equivalence.p", "does not vary"),
        ("vectors that only noise", "comparators.whitened_unbiased_cosine.value", "by chance"),
    ],
)
def test_the_reason_is_the_right_one(name: str, statistic: str, reason: str) -> None:
    result = found(name)
    layer = result["layers"]["1"]
    reasons = {**result["reasons"], **layer["reasons"]}
    assert reason in why_null(statistic, {**result, **layer, "reasons": reasons})
