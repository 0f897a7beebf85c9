"""A small study that has everything: clusters, anchor, prompts, vectors, a covariate, outcomes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from named import named, stacked

from persona_geometry.rsa.alignment import align
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.study.sections import Alignment

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
    "comparators": ["rho_a", "tau_a", "whitened_cosine"],
    "smallest_effect": 0.2,
}
ADJUSTED = ("family_wise_p", "step_down_p", "fdr_q", "stratified_family_wise_p")


def aligned(*, flat: bool = False, threads: int = 1, **settings: Any) -> dict[str, Any]:
    """A study that has everything, its first layer flat or not."""
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.1, 0.6, (4, 8, 8))
    by_prompt = np.triu(raw, 1) + np.triu(raw, 1).transpose(0, 2, 1)
    pay = named(by_prompt[0] * by_prompt[3], NAMES)
    cosine = {layer: named(by_prompt[:layer].mean(0), NAMES) for layer in (1, 2, 3)}
    if flat:
        cosine[1] = named(0.3 * (1 - np.eye(8)), NAMES)
    whole = Geometries(
        anchor="anchor",
        clusters=CLUSTERS,
        cosine=cosine,
        divergence={
            "8": named(by_prompt[1:].mean(0), NAMES),
            "full": named(by_prompt.mean(0), NAMES),
        },
        by_prompt=dict.fromkeys(("8", "full"), stacked(by_prompt, NAMES)),
        vectors={layer: rng.standard_normal((4, 8, 5)) for layer in (1, 2)},
        covariates={"pay": pay},
        outcomes=[(a, b, rng.random()) for a in NAMES[:-1] for b in NAMES[:-1] if a != b],
        others={"mean_centered": {layer: named(by_prompt[-layer], NAMES) for layer in (1, 2, 3)}},
        lexical=named(by_prompt[2], NAMES),
        kl=raw[1] * (1 - np.eye(8)),
    )
    alignment = Alignment.of(**{**SETTINGS, "gates": [], **settings})
    return align(whole, alignment, [1, 2], 2, "s", "js", lambda _line: None, threads)


def numbers_at(layer: int, result: dict[str, Any]) -> dict[str, float | None]:
    """Every number that a gate at a layer could be about."""
    whole = {
        "layer_curve": result["layer_curve"][str(layer)],
        "across_layers": {name: result["across_layers"][name][str(layer)] for name in ADJUSTED},
        "noise_ceiling": result["noise_ceiling"],
        "geometries": {name: of[str(layer)] for name, of in result["geometries"].items()},
        "kl_asymmetry": result["kl_asymmetry"],
    }
    return dict(numbers(result["layers"][str(layer)])) | dict(numbers(whole))


def numbers(value: Any, prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """The numbers in nested results, by dotted name, and the nulls that stand for one.

    Lists are tables and no single numbers.
    """
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from numbers(inner, f"{prefix}{name}.")
        elif name == "reason" or isinstance(inner, bool):
            continue  # a sentence where there is one
        elif isinstance(inner, int | float | None):
            yield prefix + name, inner
