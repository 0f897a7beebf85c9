"""Every statistic of a study, layer by layer, and the gates."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from persona_geometry.rsa import gates, pairs, residual, sensitivity
from persona_geometry.rsa.bootstrap import bootstrap_intervals
from persona_geometry.rsa.cka import debiased_cka, linear_cka
from persona_geometry.rsa.noise_ceiling import noise_ceiling
from persona_geometry.rsa.outcomes import Outcome, outcomes_comparison
from persona_geometry.rsa.permutation import Null, Relabelings, mantel, partial_mantel
from persona_geometry.rsa.power import stratified_power
from persona_geometry.rsa.ranks import spearman, upper

NEAR_UNIFORM = 0.97
PARTIAL_MANTEL_CAPTION = (
    "Not valid as a test of its own where both matrices are structured beyond the covariates "
    "(Guillot & Rousset 2013); no gate rests on this p-value."
)


@dataclass(frozen=True)
class Geometries:
    """The two geometries of a study's N personas.

    Attributes:
        personas: N names, the anchor among them where it was measured.
        anchor: the anchor's name, or None.
        clusters: fine cluster of every persona that has one.
        cosine: layer to (N, N) cosine distances, for every known layer.
        js: cutoff ("8", "32", "full") to (N, N) divergences in nats.
        prompts: Q names, or None where the divergences come from a file.
        js_by_prompt: cutoff to (Q, N, N) divergences, or None.
        vectors: configured layer to (Q, N, d) vectors whose means over prompts are the centroids,
            or None where the cosines come from a file.
        covariates: name to (N, N) distances for the partial Mantel test.
        outcomes: directed outcomes, or None.
    """

    personas: list[str]
    anchor: str | None
    clusters: dict[str, str]
    cosine: dict[int, np.ndarray]
    js: dict[str, np.ndarray]
    prompts: list[str] | None
    js_by_prompt: dict[str, np.ndarray] | None
    vectors: dict[int, np.ndarray] | None
    covariates: dict[str, np.ndarray] = field(default_factory=dict)
    outcomes: list[Outcome] | None = None

    def of(self, names: Sequence[str]) -> "Geometries":
        """The same for some of the personas, in the given order."""
        order = [self.personas.index(name) for name in names]
        grid = np.ix_(order, order)
        return Geometries(
            personas=list(names),
            anchor=self.anchor,
            clusters={n: c for n, c in self.clusters.items() if n in names},
            cosine={layer: d[grid] for layer, d in self.cosine.items()},
            js={cutoff: d[grid] for cutoff, d in self.js.items()},
            prompts=self.prompts,
            js_by_prompt=self.js_by_prompt
            and {c: d[:, order][:, :, order] for c, d in self.js_by_prompt.items()},
            vectors=self.vectors and {layer: v[:, order] for layer, v in self.vectors.items()},
            covariates={name: d[grid] for name, d in self.covariates.items()},
            outcomes=self.outcomes,
        )


def align(
    geometries: Geometries,
    settings: Mapping[str, Any],
    layers: Sequence[int],
    headline_layer: int,
    study: str,
    estimator: str,
    progress: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Compare the geometries at every layer; the content of alignment.json.

    Args:
        geometries: both geometries, anchor included where it was measured.
        settings: the config's `alignment` section, with defaults.
        layers: configured layers, for which everything is computed.
        headline_layer: the layer of the gates that name none.
        study, estimator: written into the result.
        progress: told what is being computed.

    Returns:
        Plain numbers, strings, lists and dicts; None for what was not computed. The names are
        explained in docs/statistics.md.
    """
    primary = geometries.of([p for p in geometries.personas if p != geometries.anchor])
    tests = _Tests(geometries, primary, settings, layers, progress)
    results: dict[str, dict[str, Any]] = {}
    top_of_layer: dict[int, list[dict]] = {}
    for layer in layers:
        progress(f"statistics of layer {layer}")
        statistics = _plain(_layer(geometries, primary, settings, layer, tests))
        statistics["gates"] = gates.evaluate(settings["gates"], statistics)
        top_of_layer[layer] = statistics["top_residual_pairs"]
        results[str(layer)] = statistics
    own = [
        {"layer": layer, **gates.evaluate([gate], results[str(layer)])[0]}
        for gate in settings["gates"]
        for layer in [gate.get("layer", headline_layer)]
    ]
    n = len(primary.personas)
    ceiling = None
    if primary.js_by_prompt and settings["noise_ceiling_splits"]:
        ceiling = noise_ceiling(
            primary.js_by_prompt["full"], settings["noise_ceiling_splits"], settings["seed"]
        )
    return _plain(
        {
            "study": study,
            "n_personas": n,
            "n_pairs": n * (n - 1) // 2,
            "n_prompts": len(primary.prompts) if primary.prompts else None,
            "personas": primary.personas,
            "anchor": geometries.anchor,
            "headline_layer": headline_layer,
            "estimator": estimator,
            "permutations": settings["permutations"],
            "seed": settings["seed"],
            "layers": results,
            "gates": own,
            "all_gates_pass": all(gate["status"] == "pass" for gate in own) if own else None,
            "layer_curve": tests.curve(),
            "across_layers": tests.across_layers(),
            "between_layers": _between_layers(primary, layers),
            "top_pair_stability": pairs.stability(top_of_layer),
            "noise_ceiling": ceiling,
            "warnings": _warnings(primary, layers),
        }
    )


class _Tests:
    """The permutation tests that share their relabelings between layers."""

    def __init__(
        self,
        whole: Geometries,
        primary: Geometries,
        settings: Mapping[str, Any],
        layers: Sequence[int],
        progress: Callable[[str], object],
    ) -> None:
        n, count, seed = len(primary.personas), settings["permutations"], settings["seed"]
        js = primary.js["full"]
        self.layers = list(layers)
        self.all_layers = sorted(primary.cosine)
        self.free = Relabelings.free(n, count, seed)
        strata = [primary.clusters.get(p) for p in primary.personas]
        self.within = Relabelings.within(strata, count, seed)
        progress(f"Mantel tests of {len(self.all_layers)} layers, {count:,} permutations")
        self.mantel = mantel([primary.cosine[x] for x in self.all_layers], js, self.free)
        chosen = [primary.cosine[layer] for layer in layers]
        self.stratified = mantel(chosen, js, self.within) if self.within.groups else None
        self.radial = mantel(
            [residual.without(d, residual.mean_marginals(d))[0] for d in chosen],
            residual.without(js, residual.mean_marginals(js))[0],
            self.free,
        )
        self.with_anchor: Null | None = None
        if whole.anchor in whole.personas:
            self.with_anchor = mantel(
                [whole.cosine[layer] for layer in layers],
                whole.js["full"],
                Relabelings.free(n + 1, count, seed),
            )

    def curve(self) -> dict[str, dict]:
        p, family_wise = self.mantel.p_values(), self.mantel.family_wise_p_values()
        return {
            str(layer): {
                "spearman": self.mantel.observed[k],
                "mantel_p": p[k],
                "family_wise_p": family_wise[k],
            }
            for k, layer in enumerate(self.all_layers)
        }

    def across_layers(self) -> dict:
        """Family-wise p-values over the configured layers."""
        columns = [self.all_layers.index(layer) for layer in self.layers]
        chosen = Null(self.mantel.observed[columns], self.mantel.permuted[:, columns], self.free)
        stratified = None
        if self.stratified:
            p = self.stratified.family_wise_p_values()
            stratified = dict(zip(map(str, self.layers), p, strict=True))
        return {
            "family_wise_p": dict(
                zip(map(str, self.layers), chosen.family_wise_p_values(), strict=True)
            ),
            "stratified_family_wise_p": stratified,
        }


def _layer(
    whole: Geometries,
    primary: Geometries,
    settings: Mapping[str, Any],
    layer: int,
    tests: _Tests,
) -> dict[str, Any]:
    cosine, js, personas = primary.cosine[layer], primary.js["full"], primary.personas
    k, everywhere = tests.layers.index(layer), tests.all_layers.index(layer)
    fine = residual.fine_clusters(personas, primary.clusters)
    masked, n_masked = sensitivity.cluster_masked(cosine, js, fine)
    collapsed, n_collapsed = sensitivity.cluster_collapsed(cosine, js, fine)
    marginal = _residual(cosine, js, residual.mean_marginals)
    radial = marginal["spearman"] is not None
    magnitude = (
        pairs.residual_magnitudes(marginal["cosine_rest"], marginal["js_rest"]) if radial else None
    )
    table = pairs.pair_table(personas, primary.clusters, cosine, js, magnitude)
    top = pairs.top_residual_pairs(table, settings["top_k"])
    stratified = tests.stratified
    cutoff_p, prompt_p = _variant_p_values(cosine, primary, tests.free)
    return {
        "spearman": tests.mantel.observed[everywhere],
        "mantel_p": tests.mantel.p_values()[everywhere],
        "mantel_null": tests.mantel.summary(everywhere),
        "stratified_mantel_p": stratified.p_values()[k] if stratified else None,
        "stratified_mantel_null": stratified.summary(k) if stratified else None,
        "stratified_power": stratified_power(
            cosine,
            [primary.clusters.get(p) for p in personas],
            settings["seed"],
            js=js,
            permutations=settings["permutations"],
        )
        if stratified
        else None,
        "partial_fine": _partial(cosine, js, primary, ["fine"]),
        "partial_joint": _partial(cosine, js, primary, ["fine", "macro"]),
        "partial_mantel": _partial_mantel(cosine, js, primary, tests.free),
        "cluster_masked": masked,
        "cluster_masked_n_pairs": n_masked,
        "cluster_collapsed": collapsed,
        "cluster_collapsed_n_pairs": n_collapsed,
        "residual_mean_marginal": marginal["spearman"],
        "residual_mean_marginal_p": tests.radial.p_values()[k] if radial else None,
        "residual_mean_marginal_r2": marginal["r2"],
        **_anchor_statistics(whole, primary, layer, tests, k),
        "per_prompt": {
            **sensitivity.per_prompt(cosine, primary.js_by_prompt["full"], primary.prompts or []),
            "mantel_p": prompt_p,
        }
        if primary.js_by_prompt
        else None,
        "cutoffs": {**_cutoffs(cosine, primary.js), "mantel_p": cutoff_p},
        "jackknife": sensitivity.jackknife(cosine, js, personas),
        "leave_out": {
            name: _left_out(primary, layer, name)
            for name in settings["leave_out"]
            if name in personas
        },
        "bootstrap": bootstrap_intervals(
            primary.vectors.get(layer) if primary.vectors else None,
            cosine,
            primary.js_by_prompt["full"] if primary.js_by_prompt else None,
            settings["bootstrap"],
            settings["seed"],
            js=js,
        )
        if settings["bootstrap"]
        else None,
        "top_residual_pairs": top,
        "predictions": pairs.check_predictions(table, top, settings["predictions"]),
        "agreeing_pairs": pairs.agreeing_pairs(table, settings["top_k"]),
        "disagreeing_pairs": pairs.disagreeing_pairs(table, settings["top_k"]),
        "cka": _cka(primary, layer),
        "dispersion": _dispersion(primary, layer, tests.layers),
        "outcomes": outcomes_comparison(
            cosine, js, personas, primary.outcomes, settings["bootstrap"], settings["seed"]
        )
        if primary.outcomes
        else None,
    }


def _residual(
    cosine: np.ndarray, js: np.ndarray, covariate: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Any]:
    """Spearman's correlation of the two RDMs' residuals on a covariate of their own each."""
    cosine_rest, cosine_r2 = residual.without(cosine, covariate(cosine))
    js_rest, js_r2 = residual.without(js, covariate(js))
    return {
        "cosine_rest": cosine_rest,
        "js_rest": js_rest,
        "spearman": _residual_spearman(cosine, cosine_rest, js, js_rest),
        "r2": {"cosine": cosine_r2, "js": js_r2},
    }


def _residual_spearman(
    x: np.ndarray, x_rest: np.ndarray, y: np.ndarray, y_rest: np.ndarray
) -> float | None:
    """None where a covariate leaves nothing but rounding."""
    for values, rest in ((x, x_rest), (y, y_rest)):
        if not np.ptp(upper(rest)) > 1e-10 * np.ptp(upper(values)):
            return None
    return spearman(upper(x_rest), upper(y_rest))


def _cluster_covariates(primary: Geometries, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    labels = {
        "fine": residual.fine_clusters(primary.personas, primary.clusters),
        "macro": residual.macro_clusters(primary.personas, primary.clusters),
    }
    return {kind: residual.same(labels[kind]) for kind in kinds}


def _partial(
    cosine: np.ndarray, js: np.ndarray, primary: Geometries, kinds: Sequence[str]
) -> float | None:
    if not primary.clusters:
        return None
    covariates = [upper(c) for c in _cluster_covariates(primary, kinds).values()]
    return residual.partial_spearman(upper(cosine), upper(js), covariates)


def _partial_mantel(
    cosine: np.ndarray, js: np.ndarray, primary: Geometries, relabelings: Relabelings
) -> dict | None:
    covariates = dict(primary.covariates)
    if primary.clusters:
        clusters = _cluster_covariates(primary, ["fine", "macro"])
        covariates |= {f"same_{kind}_cluster": matrix for kind, matrix in clusters.items()}
    if not covariates:
        return None
    null = partial_mantel(cosine, js, list(covariates.values()), relabelings)
    return {
        "covariates": list(covariates),
        "spearman": null.observed[0],
        "p": null.p_values()[0],
        "caption": PARTIAL_MANTEL_CAPTION,
    }


def _anchor_statistics(
    whole: Geometries, primary: Geometries, layer: int, tests: _Tests, k: int
) -> dict[str, Any]:
    if tests.with_anchor is None or whole.anchor is None:
        return {"residual_anchor": None, "residual_anchor_r2": None, "with_anchor": None}
    order = [whole.personas.index(p) for p in primary.personas]
    anchor = whole.personas.index(whole.anchor)
    cosine, js = primary.cosine[layer], primary.js["full"]
    of_cosine = residual.anchor_sums(whole.cosine[layer][order, anchor])
    of_js = residual.anchor_sums(whole.js["full"][order, anchor])
    cosine_rest, cosine_r2 = residual.without(cosine, of_cosine)
    js_rest, js_r2 = residual.without(js, of_js)
    n = len(whole.personas)
    return {
        "residual_anchor": _residual_spearman(cosine, cosine_rest, js, js_rest),
        "residual_anchor_r2": {"cosine": cosine_r2, "js": js_r2},
        "with_anchor": {
            "spearman": tests.with_anchor.observed[k],
            "mantel_p": tests.with_anchor.p_values()[k],
            "n_pairs": n * (n - 1) // 2,
        },
    }


def _variant_p_values(
    cosine: np.ndarray, primary: Geometries, relabelings: Relabelings
) -> tuple[dict[str, float], dict[str, float]]:
    """Mantel p of the divergences at each cutoff, and of each prompt, by the layers' own stream."""
    by_prompt = primary.js_by_prompt["full"] if primary.js_by_prompt else ()
    null = mantel([*primary.js.values(), *by_prompt], cosine, relabelings.inverse())
    p = null.p_values().tolist()
    n = len(primary.js)
    return (
        dict(zip(primary.js, p[:n], strict=True)),
        dict(zip(primary.prompts or (), p[n:], strict=True)),
    )


def _cutoffs(cosine: np.ndarray, js: Mapping[str, np.ndarray]) -> dict[str, Any]:
    rho = {cutoff: spearman(upper(cosine), upper(d)) for cutoff, d in js.items()}
    whole = rho["full"]
    ratio = {
        cutoff: value / whole if value is not None and whole else None
        for cutoff, value in rho.items()
        if cutoff != "full"
    }
    return {**rho, "ratio": ratio}


def _left_out(primary: Geometries, layer: int, name: str) -> dict[str, float | None]:
    rest = primary.of([p for p in primary.personas if p != name])
    cosine, js = rest.cosine[layer], rest.js["full"]
    return {
        "spearman": spearman(upper(cosine), upper(js)),
        "partial_joint": _partial(cosine, js, rest, ["fine", "macro"]),
        "residual_mean_marginal": _residual(cosine, js, residual.mean_marginals)["spearman"],
    }


def _cka(primary: Geometries, layer: int) -> dict | None:
    """CKA of centroids and of JS similarities (1 - JS / ln 2) as features."""
    if not primary.vectors or layer not in primary.vectors:
        return None
    centroids = primary.vectors[layer].mean(0, dtype=np.float64)
    similarities = 1.0 - primary.js["full"] / math.log(2)
    return {
        "linear": linear_cka(centroids, similarities),
        "debiased": debiased_cka(centroids, similarities),
        "exploratory": True,
    }


def _dispersion(primary: Geometries, layer: int, layers: Sequence[int]) -> dict[str, float]:
    values = upper(primary.cosine[layer])
    widest = max(upper(primary.cosine[other]).std() for other in layers)
    return {
        "mean": values.mean(),
        "sd": values.std(),
        "min": values.min(),
        "max": values.max(),
        "ratio_to_widest": widest / values.std() if values.std() > 0 else None,
    }


def _between_layers(primary: Geometries, layers: Sequence[int]) -> dict:
    vectors = [upper(primary.cosine[layer]) for layer in layers]
    return {
        "layers": list(layers),
        "spearman": [[1.0 if x is y else spearman(x, y) for y in vectors] for x in vectors],
    }


def _warnings(primary: Geometries, layers: Sequence[int]) -> list[str]:
    found = [
        f"Layer {layer} is close to uniform: every cosine is at least {NEAR_UNIFORM}, so its "
        f"distances are small differences between nearly equal vectors."
        for layer in layers
        if 1.0 - upper(primary.cosine[layer]).max() >= NEAR_UNIFORM
    ]
    if np.ptp(upper(primary.js["full"])) == 0:
        found.append("All divergences are equal, so no correlation with them is defined.")
    return found


def _plain(value: Any) -> Any:
    """The same with Python's own numbers, and None for what is not a number."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
