"""The comparison of a study's two geometries: every statistic, layer by layer, and the gates."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from persona_geometry.rdms.triangle import complement
from persona_geometry.rsa import contrasts, gates, pairs
from persona_geometry.rsa.asymmetry import kl_asymmetry
from persona_geometry.rsa.catalogue import Scope, lacking
from persona_geometry.rsa.comparators import COMPARATORS
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.jackknife import Jackknife, jackknife
from persona_geometry.rsa.layer import Layer
from persona_geometry.rsa.layer_tests import LayerTests
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.other_geometries import compare_geometries
from persona_geometry.rsa.ranks import rsa
from persona_geometry.rsa.reasons import reasons
from persona_geometry.study.sections import Alignment

NEAR_UNIFORM = 0.97


def align(
    geometries: Geometries,
    settings: Alignment,
    layers: Sequence[int],
    headline_layer: int,
    study: str,
    estimator: str,
    progress: Callable[[str], object] = print,
    threads: int = 1,
) -> dict[str, Any]:
    """Compare the geometries at every layer; the content of alignment.json.

    Args:
        geometries: both geometries, anchor included where it was measured.
        settings: the config's `alignment` section, with defaults.
        layers: configured layers, for which everything is computed.
        headline_layer: written into the result.
        study, estimator: the same.
        progress: told what is being computed.
        threads: how many layers are computed at a time, each with its vectors in memory; no number
            depends on it.

    Returns:
        Plain numbers, strings, lists and dicts; None for what was not computed. The names are
        explained in docs/statistics.md.
    """
    primary = geometries.without_anchor()

    def of_layer(layer: int) -> tuple[Jackknife, dict[str, Any], dict[str, str]]:
        progress(f"statistics of layer {layer}")
        of = Layer(layer, geometries, primary, tests, settings)
        return of.jackknife, plain(of.statistics()), of.why_no_partials()

    # A layer's products are small: shared out, they would wait for each other.
    with threadpool_limits(1):
        tests = LayerTests(geometries, primary, layers, settings, progress)
        with ThreadPoolExecutor(threads) as pool:
            computed = dict(zip(layers, pool.map(of_layer, layers), strict=True))
        configured = {layer: of_units for layer, (of_units, _, _) in computed.items()}
        of_personas = {
            layer: configured[layer]
            if layer in configured
            else jackknife(rdm, primary.divergence["full"])
            for layer, rdm in sorted(primary.cosine.items())
        }
        of_study = plain(
            {
                "layer_curve": tests.curve(),
                "across_layers": tests.across_layers(),
                "noise_ceiling": noise_ceiling(
                    primary.by_prompt["full"] if primary.by_prompt else None,
                    settings.noise_ceiling_splits,
                    settings.seed,
                ),
                "geometries": compare_geometries(
                    primary.others,
                    primary.divergence["full"],
                    of_personas,
                    tests.free,
                    settings.smallest_effect,
                ),
                "kl_asymmetry": _kl_asymmetry(primary, tests),
            }
        )
        between = {
            "contrasts": contrasts.contrasts(configured, settings.smallest_effect),
            "peak": contrasts.peak(of_personas, ("personas",), settings.seed),
            "peak_configured": contrasts.peak(configured, ("prompts", "personas"), settings.seed),
        }
    scope = _scope(geometries, primary, settings)
    lacks = lacking(scope)
    why_of_study = reasons(of_study, lacks)
    results: dict[str, dict[str, Any]] = {}
    judged: dict[int, list[dict[str, Any]]] = {}
    for layer, (_, statistics, why_no_partials) in computed.items():
        why = reasons(statistics, lacks, why_no_partials)
        known = {**statistics, **_at_layer(of_study, layer), "reasons": {**why_of_study, **why}}
        judged[layer] = gates.evaluate(settings.gates, known, scope)
        results[str(layer)] = {**statistics, "reasons": why, "gates": judged[layer]}
    own = [
        {"layer": gate.layer, **judged[gate.layer][place]}
        for place, gate in enumerate(settings.gates)
    ]
    progress(f"gates: {gates.verdict(own)}")
    for gate in own:
        if gate["reason"]:
            progress(
                f"{gate['statistic']} at layer {gate['layer']} not evaluated: {gate['reason']}"
            )
    top_of_layer = {int(layer): s["top_residual_pairs"] for layer, s in results.items()}
    written: dict[str, Any] = plain(
        {
            "study": study,
            "n_personas": len(primary.personas),
            "n_pairs": len(primary.divergence["full"].vector),
            "n_prompts": len(primary.prompts) if primary.prompts else None,
            "personas": primary.personas,
            "anchor": geometries.anchor,
            "headline_layer": headline_layer,
            "estimator": estimator,
            "permutations": settings.permutations,
            "seed": settings.seed,
            "layers": results,
            "gates": own,
            "all_gates_pass": gates.all_pass(own),
            "layer_curve": of_study["layer_curve"],
            "across_layers": {**of_study["across_layers"], **between},
            "between_layers": _between_layers(primary, layers),
            "top_pair_stability": pairs.stability(top_of_layer),
            "noise_ceiling": of_study["noise_ceiling"],
            "geometries": of_study["geometries"],
            "kl_asymmetry": of_study["kl_asymmetry"],
            "warnings": _warnings(primary, layers),
        }
    )
    return written | {"reasons": reasons(written, lacks)}


def _scope(whole: Geometries, primary: Geometries, settings: Alignment) -> Scope:
    """What decides which statistics the study has."""
    return Scope.of(
        primary.personas,
        primary.clusters,
        primary.prompts or (),
        [int(cutoff) for cutoff in primary.divergence if cutoff != "full"],
        [name for name in settings.leave_out if name in primary.personas],
        settings.permutations,
        {
            "vectors": primary.vectors is not None,
            "two prompts": len(primary.prompts or ()) > 1,
            "covariates": bool(primary.covariates),
            "anchor": whole.anchor in whole.personas,
            "bootstrap": settings.bootstrap > 0,
            "splits": settings.noise_ceiling_splits > 0,
            "outcomes": bool(primary.outcomes),
            "smallest effect": settings.smallest_effect is not None,
            **{name: name in settings.comparators for name in COMPARATORS},
        },
        list(primary.others),
    )


def _at_layer(of_study: Mapping[str, Any], layer: int) -> dict[str, Any]:
    """What a gate at a layer sees of the statistics that are computed across layers."""
    across = of_study["across_layers"]
    return {
        "layer_curve": of_study["layer_curve"][str(layer)],
        "across_layers": {name: p and p[str(layer)] for name, p in across.items()},
        "noise_ceiling": of_study["noise_ceiling"],
        "geometries": {
            name: of_layers[str(layer)] for name, of_layers in of_study["geometries"].items()
        },
        "kl_asymmetry": of_study["kl_asymmetry"],
    }


def _kl_asymmetry(primary: Geometries, tests: LayerTests) -> dict[str, Any] | None:
    if primary.kl is None or not primary.outcomes:
        return None
    return kl_asymmetry(primary.personas, primary.kl, primary.outcomes, tests.free)


def _between_layers(primary: Geometries, layers: Sequence[int]) -> dict[str, Any]:
    rdms = [primary.cosine[layer] for layer in layers]
    return {
        "layers": list(layers),
        "spearman": [[rsa(x, y) for y in rdms] for x in rdms],
    }


def _warnings(primary: Geometries, layers: Sequence[int]) -> list[str]:
    found = [
        f"Layer {layer} is close to uniform: every cosine is at least {NEAR_UNIFORM}, so its "
        f"distances are small differences between nearly equal vectors."
        for layer in layers
        if complement(primary.cosine[layer].vector.max()) >= NEAR_UNIFORM
    ]
    found += [
        f"All cosine distances of layer {layer} are equal, so no correlation with them is defined."
        for layer in layers
        if np.ptp(primary.cosine[layer].ranks) == 0
    ]
    if np.ptp(primary.divergence["full"].ranks) == 0:
        found.append("All divergences are equal, so no correlation with them is defined.")
    return found


def plain(value: Any) -> Any:
    """The same with Python's own numbers, and None for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
