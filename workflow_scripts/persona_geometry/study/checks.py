"""Whether what a config names is there, and whether it can mean what it says.

What cannot be meant is refused; what may be meant but surprises is remarked on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_geometry.errors import InputError
from persona_geometry.model.checkpoint import read_config
from persona_geometry.model.fingerprint import ADAPTER
from persona_geometry.model.tensors import depth_of, text_config
from persona_geometry.rsa.catalogue import Scope
from persona_geometry.rsa.comparators import COMPARATORS
from persona_geometry.rsa.gates import check
from persona_geometry.study.inputs import check_inputs
from persona_geometry.study.intervention import chosen_personas, read_ablation
from persona_geometry.study.tables import (
    LONGEST_NAME,
    TEMPLATE_DEFAULT,
    is_almost_template_default,
)
from persona_geometry.text_files import alike

if TYPE_CHECKING:
    from persona_geometry.study.config import Study

RESERVED = {
    "store": "where the store of all studies is",
    "comparisons": "where comparisons of studies are",
    "published": "under the name of the published study",
}
"""What a study must not be called, and what it would write over."""


def check_study(study: "Study", config: dict[str, Any]) -> tuple[str, ...]:
    """Check a study against its tables, its model and every file that it names.

    Args:
        study: as it was read from its config.
        config: that config.

    Returns:
        Sentences on what may be meant, but may surprise.

    Raises:
        InputError: what cannot be meant.
    """
    _check_title(study)
    _check_personas(study, config)
    _check_leading_system_prompt(study, config)
    _check_mentions(study, config["personas"])
    _check_layers(study)
    _check_numbers(study)
    _check_other_geometries(study)
    _check_probe(study, config["personas"])
    _check_intervention(study)
    anchored, inputs = check_inputs(study)
    gates = _check_gates(study, anchored)
    return (*_remarks(study, config), *inputs, *gates)


def check_model_layers(layers: list[int], model_config: dict[str, Any], source: str) -> None:
    """Refuse layers that a model does not have.

    Args:
        layers: decoder blocks, counted from 0.
        model_config: the model's config.json; a multimodal model's text_config is used.
        source: name of the config file, for the message.

    Raises:
        InputError: a layer is not below num_hidden_layers.
    """
    depth = depth_of(text_config(model_config))
    for layer in layers:
        if depth is not None and layer >= depth:
            raise InputError(
                f"{source}: geometry.layers asks for layer {layer}, but the model has layers 0 "
                f"to {depth - 1}; correct the list."
            )


def _check_title(study: "Study") -> None:
    if taken := RESERVED.get(study.name.casefold()):
        raise InputError(
            f"{study.source}: study '{study.name}' would write {taken}; choose another name."
        )
    if len(study.name) > LONGEST_NAME:
        raise InputError(
            f"{study.source}: the name of the study has {len(study.name)} characters; a folder is "
            f"named by it, so use at most {LONGEST_NAME}."
        )


def _check_personas(study: "Study", config: dict[str, Any]) -> None:
    table, names = config["personas"], set(study.persona_names)
    if study.anchor is not None and study.anchor not in names:
        raise InputError(
            f"{study.source}: anchor '{study.anchor}' is not in {table}; "
            f"add the persona or name another anchor."
        )
    clusters = set(study.clusters.values())
    if shared := clusters & (names - set(study.clusters)):
        raise InputError(
            f"{table}: cluster '{min(shared)}' has the name of a persona without a cluster; "
            f"rename the cluster."
        )
    for kind, known in {"": clusters, "macro ": set(study.macro_clusters.values())}.items():
        for cluster in known:
            if twins := sorted(c for c in known if alike(c) == alike(cluster))[1:]:
                raise InputError(
                    f"{table}: the {kind}clusters '{twins[0]}' and '{cluster}' differ only in "
                    f"upper and lower case, or in how an accent is encoded; write them alike, or "
                    f"rename one."
                )
    if len(names - {study.anchor}) < 4:
        raise InputError(
            f"{table}: {len(names - {study.anchor})} personas beside the anchor are too few to "
            f"compare geometries; list at least 4."
        )


def _check_leading_system_prompt(study: "Study", config: dict[str, Any]) -> None:
    if study.needs_model and "model" not in config:
        raise InputError(
            f"{study.source}: 'model' is missing; add it, or give both RDMs as files under 'rdm'."
        )
    if is_almost_template_default(study.generation.system_prompt or ""):
        raise InputError(
            f"{study.source}: generation.system_prompt is {study.generation.system_prompt!r}, "
            f"which would be said to the model; write {TEMPLATE_DEFAULT} alone for no system "
            f"message."
        )
    if "js" not in study.rdm and study.anchor is None and study.generation.system_prompt is None:
        raise InputError(
            f"{study.source}: there is no anchor to generate the shared responses under; "
            f"set 'anchor' or 'generation.system_prompt'."
        )


def _check_mentions(study: "Study", table: str) -> None:
    """Personas that the comparison names."""
    alignment = study.alignment
    mentioned = [("alignment.leave_out", name) for name in alignment.leave_out]
    mentioned += [
        ("alignment.predictions", name) for pair in alignment.predictions for name in pair
    ]
    for key, name in mentioned:
        if name not in study.persona_names:
            raise InputError(
                f"{study.source}: {key} names '{name}', which is not in {table}; "
                f"correct the name or remove it."
            )
        if name == study.anchor:
            raise InputError(
                f"{study.source}: {key} names the anchor '{name}', which no primary statistic "
                f"includes; remove it."
            )
    pairs = [frozenset(pair) for pair in alignment.predictions]
    for pair, names in zip(pairs, alignment.predictions, strict=True):
        if len(pair) == 1:
            raise InputError(
                f"{study.source}: alignment.predictions pairs '{names[0]}' with itself; name two "
                f"personas."
            )
        if pairs.count(pair) > 1:
            raise InputError(
                f"{study.source}: alignment.predictions has {' and '.join(sorted(pair))} twice; "
                f"remove one of them."
            )
    if len(pairs) > alignment.top_k:
        raise InputError(
            f"{study.source}: alignment.predictions has {len(pairs)} pairs, which cannot all be "
            f"among the top {alignment.top_k}; raise alignment.top_k, or remove some."
        )


def _check_layers(study: "Study") -> None:
    if study.headline_layer not in study.layers:
        raise InputError(
            f"{study.source}: headline layer {study.headline_layer} is not among geometry.layers; "
            f"add it there."
        )
    for gate in study.alignment.gates:
        if gate.layer not in study.layers:
            raise InputError(
                f"{study.source}: a gate on {gate.statistic} names layer {gate.layer}, "
                f"which is not among geometry.layers; add it there or change the gate."
            )
    _check_model_files(study)
    if not study.needs_model or study.model.path is None:
        return
    folder = Path(study.model.path)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{study.source}: model.path '{folder}' holds no config.json; "
            f"give the folder of a Hugging Face checkpoint."
        )
    check_model_layers(study.layers, read_config(folder), study.source)


def _check_model_files(study: "Study") -> None:
    model = study.model
    if model.gguf is not None and not Path(model.gguf).is_file():
        raise InputError(
            f"{study.source}: model.gguf '{model.gguf}' is not there; correct it, or fetch the "
            f"file ('make real' fetches that of config/smollm2-135m.yaml)."
        )
    if model.adapter is None:
        return
    for name in ADAPTER:
        if not (Path(model.adapter) / name).is_file():
            raise InputError(
                f"{study.source}: model.adapter '{model.adapter}' holds no {name}; give the folder "
                f"of a PEFT adapter that was saved as .safetensors."
            )
    if study.generation.backend == "vllm":
        raise InputError(
            f"{study.source}: generation.backend is 'vllm', which would answer without "
            f"model.adapter; set it to 'transformers'."
        )


def _check_numbers(study: "Study") -> None:
    longest = study.generation.max_new_tokens
    for cutoff in study.divergence.cutoffs:
        if cutoff > longest and "js" not in study.rdm:
            raise InputError(
                f"{study.source}: divergence.cutoffs has {cutoff}, but a response has at most "
                f"generation.max_new_tokens = {longest} tokens; lower the cutoff."
            )
    if study.alignment.bootstrap == 1:
        raise InputError(
            f"{study.source}: alignment.bootstrap is 1, but one resample has no spread; give 0 "
            f"for none, or some hundreds."
        )


def _check_other_geometries(study: "Study") -> None:
    also, k = study.geometry.also, study.geometry.components
    if also and "cosine" in study.rdm:
        raise InputError(
            f"{study.source}: geometry.also has {also[0]}, which needs centroids, but rdm.cosine "
            f"comes from a file; remove one of the two."
        )
    if study.geometry.token in also:
        raise InputError(
            f"{study.source}: geometry.also has {study.geometry.token}, which is geometry.token, "
            f"the main geometry; remove it there."
        )
    n = len(set(study.persona_names) - {study.anchor})
    if "components_removed" in also and k > n - 3:
        raise InputError(
            f"{study.source}: geometry.components is {k}, but {n} personas have {n - 1} "
            f"components, of which at least two must stay; give at most {n - 3}."
        )


def _check_probe(study: "Study", table: str) -> None:
    chosen, k = study.probe.personas, study.probe.components
    if not chosen:
        return
    if study.rdm:
        raise InputError(
            f"{study.source}: 'probe' needs centroids and divergences by token, but "
            f"rdm.{next(iter(study.rdm))} comes from a file; remove one of the two."
        )
    for name in chosen:
        if name not in study.persona_names or name == study.anchor:
            raise InputError(
                f"{study.source}: probe.personas names '{name}', which is "
                f"{'the anchor' if name == study.anchor else f'not in {table}'}; correct the name "
                f"or remove it."
            )
    others = len(set(study.persona_names) - {study.anchor, *chosen})
    if others < k + 2:
        raise InputError(
            f"{study.source}: probe.personas leaves {others} others, but {k} components of theirs "
            f"need at least {k + 2}; choose fewer personas or lower probe.components."
        )


def _check_intervention(study: "Study") -> None:
    if study.intervention.directions is None:
        return
    if study.rdm:
        raise InputError(
            f"{study.source}: 'intervention' needs the model's own distances, but "
            f"rdm.{next(iter(study.rdm))} comes from a file; remove one of the two."
        )
    read_ablation(study)
    chosen_personas(study)


def _check_gates(study: "Study", anchored: bool) -> list[str]:
    measured = "js" not in study.rdm
    alignment = study.alignment
    scope = Scope.of(
        [name for name in study.persona_names if name != study.anchor],
        study.clusters,
        study.prompt_names if measured else [],
        study.divergence.cutoffs if measured else [],
        alignment.leave_out,
        alignment.permutations,
        {
            "vectors": "cosine" not in study.rdm,
            "two prompts": study.needs_model and len(study.prompts) > 1,
            "covariates": bool(alignment.covariates),
            "anchor": anchored,
            "bootstrap": alignment.bootstrap > 0,
            "splits": alignment.noise_ceiling_splits > 0,
            "outcomes": alignment.outcomes is not None,
            "smallest effect": alignment.smallest_effect is not None,
            **{name: name in alignment.comparators for name in COMPARATORS},
        },
        study.geometry.also,
    )
    try:
        return [f"{study.source}: {line}" for line in check(alignment.gates, scope)]
    except InputError as error:
        raise InputError(f"{study.source}: {error}") from None


def _remarks(study: "Study", config: dict[str, Any]) -> Iterator[str]:
    alignment, n = study.alignment, len(set(study.persona_names) - {study.anchor})
    if alignment.predictions and alignment.top_k >= n * (n - 1) // 2:
        yield (
            f"{study.source}: alignment.top_k = {alignment.top_k} is as many as there are pairs "
            f"({n * (n - 1) // 2}), so no prediction will be evaluated."
        )
    if len(alignment.leave_out) == n:
        yield (
            f"{study.source}: alignment.leave_out names every persona; each is left out alone, "
            f"which the jackknife does anyway."
        )
    longest = study.generation.max_new_tokens
    if "js" not in study.rdm and longest in study.divergence.cutoffs:
        yield (
            f"{study.source}: divergence.cutoffs has {longest}, the length at which responses are "
            f"cut, so it will repeat the whole response ('full')."
        )
    if {"cosine", "js"} <= set(study.rdm) and study.rdm["cosine"].file == study.rdm["js"].file:
        yield (
            f"{study.source}: rdm.cosine and rdm.js are the same file, {study.rdm['js'].file}, so "
            f"it will be compared with itself."
        )
    unused = {
        "generation": not study.needs_model,
        "scoring": not study.needs_model,
        "model": not study.needs_model,
        "divergence.cutoffs": "js" in study.rdm,
    }
    given = {**config, **{f"divergence.{key}": 1 for key in config.get("divergence", {})}}
    if idle := [key for key, without in unused.items() if without and key in given]:
        yield f"{study.source}: RDMs come from files, so {' and '.join(idle)} changes nothing."
