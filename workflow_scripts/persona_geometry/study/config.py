"""A study: one config file, checked and read into one object."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema

from persona_geometry.errors import InputError
from persona_geometry.model.attention import attention_kernel
from persona_geometry.model.checkpoint import read_config
from persona_geometry.model.hub import known_config
from persona_geometry.model.tensors import depth_of, text_config
from persona_geometry.rsa.gates import check_name
from persona_geometry.study.sections import (
    Alignment,
    Divergence,
    Execution,
    Generation,
    Geometry,
    Model,
    RdmFile,
    Scoring,
    schema,
)
from persona_geometry.study.tables import Persona, Prompt, read_personas, read_prompts


@dataclass(frozen=True)
class Study:
    """A checked study: its tables, and the sections of its config with every default filled in.

    `rdm` holds the RDMs that come from files, by "cosine" and "js". A study that needs no model
    has a model section without path and name.
    """

    name: str
    source: str
    personas: list[Persona]
    prompts: list[Prompt]
    anchor: str | None
    model: Model
    generation: Generation
    scoring: Scoring
    divergence: Divergence
    geometry: Geometry
    alignment: Alignment
    rdm: dict[str, RdmFile]
    execution: Execution

    @cached_property
    def clusters(self) -> dict[str, str]:
        """Fine cluster of every persona that has one."""
        return {p.name: p.cluster for p in self.personas if p.cluster is not None}

    @property
    def persona_names(self) -> list[str]:
        return [persona.name for persona in self.personas]

    @property
    def prompt_names(self) -> list[str]:
        return [prompt.name for prompt in self.prompts]

    @property
    def layers(self) -> list[int]:
        return self.geometry.layers

    @property
    def headline_layer(self) -> int:
        return self.geometry.headline_layer

    @property
    def needs_model(self) -> bool:
        """False when both RDMs come from files."""
        return not {"cosine", "js"} <= set(self.rdm)

    @property
    def title(self) -> str:
        """The study in a line, for a terminal."""
        return (
            f"Study {self.name}: {len(self.personas)} personas, {len(self.prompts)} prompts, "
            f"model {self.model.path or self.model.name}"
        )

    @cached_property
    def response_system_prompt(self) -> str:
        """System prompt under which the shared response is generated."""
        given = self.generation.system_prompt
        if given is not None:
            return given
        return next(p.system_prompt for p in self.personas if p.name == self.anchor)


def read_study(config: dict[str, Any], source: str = "the config") -> Study:
    """Check a config against the schema and its tables, and fill in defaults.

    Args:
        config: the parsed YAML of one config file; paths in it are relative to the working
            directory.
        source: name of the config file, for messages.

    Raises:
        InputError: one sentence naming the file, the row or key, and the remedy.
    """
    _check_schema(config, source)
    geometry = Geometry.of(**config["geometry"])
    gates = [{"layer": geometry.headline_layer, **g} for g in config["alignment"]["gates"]]
    study = Study(
        name=config["study"],
        source=source,
        personas=read_personas(config["personas"]),
        prompts=read_prompts(config["prompts"]),
        anchor=config.get("anchor"),
        model=Model.of(**config.get("model", {})),
        generation=Generation.of(**config.get("generation", {})),
        scoring=Scoring.of(**config.get("scoring", {})),
        divergence=Divergence.of(**config.get("divergence", {})),
        geometry=geometry,
        alignment=Alignment.of(**{**config["alignment"], "gates": gates}),
        rdm={kind: RdmFile.of(**file) for kind, file in config.get("rdm", {}).items()},
        execution=Execution.of(**config.get("execution", {})),
    )
    _check_names(study, config)
    _check_layers(study)
    _check_cutoffs(study)
    return replace(study, model=_with_kernel(study)) if study.needs_model else study


def _with_kernel(study: Study) -> Model:
    """The model section with the attention kernel that `auto` stands for: part of every key."""
    model = study.model
    try:
        return replace(model, attention=attention_kernel(model.attention, known_config(model)))
    except InputError as error:
        raise InputError(f"{study.source}: {error}") from None


def _check_schema(config: dict[str, Any], source: str) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    error = jsonschema.exceptions.best_match(validator.iter_errors(config))
    if error is None:
        return
    key = ".".join(str(part) for part in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        unknown = ", ".join(
            f"'{k}'" for k in error.instance if k not in error.schema.get("properties", {})
        )
        raise InputError(
            f"{source}: unknown key {unknown} at {key}; remove or correct it (known: {known})."
        )
    if error.validator == "required":
        missing = ", ".join(f"'{k}'" for k in error.validator_value if k not in error.instance)
        raise InputError(f"{source}: {missing} is missing at {key}; add it.")
    if error.validator == "oneOf" and key == "model":
        raise InputError(
            f"{source}: model needs either 'path' (a checkpoint folder) or both 'name' and "
            f"'revision' (the full commit hash of a hub model), not a mixture; keep one."
        )
    raise InputError(f"{source}: {key} is not valid ({error.message}); see config/README.md.")


def _check_names(study: Study, config: dict[str, Any]) -> None:
    table, names = config["personas"], set(study.persona_names)
    if study.anchor is not None and study.anchor not in names:
        raise InputError(
            f"{study.source}: anchor '{study.anchor}' is not in {table}; "
            f"add the persona or name another anchor."
        )
    if study.needs_model and "model" not in config:
        raise InputError(
            f"{study.source}: 'model' is missing; add it, or give both RDMs as files under 'rdm'."
        )
    if "js" not in study.rdm and study.anchor is None and not study.generation.system_prompt:
        raise InputError(
            f"{study.source}: there is no anchor to generate the shared responses under; "
            f"set 'anchor' or 'generation.system_prompt'."
        )
    mentioned = [("alignment.leave_out", name) for name in study.alignment.leave_out]
    mentioned += [
        ("alignment.predictions", name) for pair in study.alignment.predictions for name in pair
    ]
    for key, name in mentioned:
        if name not in names:
            raise InputError(
                f"{study.source}: {key} names '{name}', which is not in {table}; "
                f"correct the name or remove it."
            )
        if name == study.anchor:
            raise InputError(
                f"{study.source}: {key} names the anchor '{name}', which no primary statistic "
                f"includes; remove it."
            )
    shared = set(study.clusters.values()) & (names - set(study.clusters))
    if shared:
        raise InputError(
            f"{table}: cluster '{min(shared)}' has the name of a persona without a cluster; "
            f"rename the cluster."
        )
    if len(names - {study.anchor}) < 4:
        raise InputError(
            f"{table}: {len(names - {study.anchor})} personas beside the anchor are too few to "
            f"compare geometries; list at least 4."
        )


def _check_layers(study: Study) -> None:
    if study.headline_layer not in study.layers:
        raise InputError(
            f"{study.source}: headline layer {study.headline_layer} is not among geometry.layers; "
            f"add it there."
        )
    for gate in study.alignment.gates:
        try:
            check_name(gate.statistic)
        except InputError as error:
            raise InputError(f"{study.source}: {error}") from None
        if gate.layer not in study.layers:
            raise InputError(
                f"{study.source}: a gate on {gate.statistic} names layer {gate.layer}, "
                f"which is not among geometry.layers; add it there or change the gate."
            )
    if not study.needs_model or study.model.path is None:
        return
    folder = Path(study.model.path)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{study.source}: model.path '{folder}' holds no config.json; "
            f"give the folder of a Hugging Face checkpoint."
        )
    check_model_layers(study.layers, read_config(folder), study.source)


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


def _check_cutoffs(study: Study) -> None:
    longest = study.generation.max_new_tokens
    for cutoff in study.divergence.cutoffs:
        if cutoff > longest:
            raise InputError(
                f"{study.source}: divergence.cutoffs has {cutoff}, but a response has at most "
                f"generation.max_new_tokens = {longest} tokens; lower the cutoff."
            )
