"""A study: one config file, checked and read into one object."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.model.attention import attention_kernel
from persona_geometry.model.hub import known_config
from persona_geometry.probe.files import read_directions
from persona_geometry.study.checks import check_study
from persona_geometry.study.form import check_form
from persona_geometry.study.sections import (
    Alignment,
    Bundle,
    Divergence,
    Execution,
    Figures,
    Generation,
    Geometry,
    Intervention,
    Model,
    Probe,
    RdmFile,
    Scoring,
)
from persona_geometry.study.tables import (
    Persona,
    Prompt,
    clusters_of,
    macro_clusters_of,
    read_personas,
    read_prompts,
)
from persona_geometry.text_files import read_text


@dataclass(frozen=True)
class Study:
    """A checked study: its tables, and the sections of its config with every default filled in.

    `rdm` holds the RDMs that come from files, by "cosine" and "js". A study that needs no model
    has a model section without path and name. `remarks` are sentences on what may be meant, but may
    surprise.
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
    probe: Probe
    intervention: Intervention
    alignment: Alignment
    rdm: dict[str, RdmFile]
    figures: Figures
    execution: Execution
    bundle: Bundle
    remarks: tuple[str, ...] = ()

    @cached_property
    def clusters(self) -> dict[str, str]:
        """Fine cluster of every persona that has one."""
        return clusters_of(self.personas)

    @cached_property
    def macro_clusters(self) -> dict[str, str]:
        """Macro cluster of every persona that has one in its table."""
        return macro_clusters_of(self.personas)

    @cached_property
    def directions(self) -> tuple[dict[str, np.ndarray], list[str]] | None:
        """What the intervention's file holds (`probe.files.read_directions`), read once.

        Raises:
            InputError: the file is missing, damaged, or holds no directions.
        """
        path = self.intervention.directions
        return None if path is None else read_directions(path)

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
    def divergence_label(self) -> str:
        """The divergence and its unit, as figures name them; one from a file may be any."""
        if "js" not in self.rdm:
            return f"{self.divergence.label} ({self.divergence_unit})"
        name, unit = self.rdm["js"].name or "Imported divergence", self.divergence_unit
        return f"{name} ({unit})" if unit else name

    @property
    def divergence_kind(self) -> str:
        """`divergence.estimator`, or "imported" for one from a file with a name or unit of its own.

        An imported one may have any range.
        """
        js = self.rdm.get("js")
        own = js is not None and (js.name is not None or js.unit not in (None, "nats"))
        return "imported" if own else self.divergence.estimator

    @property
    def divergence_unit(self) -> str | None:
        """The divergence's unit, where it is known."""
        return self.rdm["js"].unit if "js" in self.rdm else "nats"

    @property
    def needs_model(self) -> bool:
        """False when both RDMs come from files."""
        return not {"cosine", "js"} <= set(self.rdm)

    @property
    def measured(self) -> str:
        """The model and what was done to it, in sentences for a reader; empty where none is run."""
        if not self.needs_model:
            return ""
        asked = self.intervention
        if asked.directions is None:
            return self.model.sentence
        return (
            f"{self.model.sentence} An intervention takes the direction {asked.direction} of "
            f"{asked.directions} out of its hidden states after block {asked.layer}, at every "
            f"token and for every persona."
        )

    @property
    def title(self) -> str:
        """The study in a line, for a terminal."""
        return (
            f"Study {self.name}: {len(self.personas)} personas, {len(self.prompts)} prompts, "
            f"model {self.model.title}"
        )

    @cached_property
    def response_system_prompt(self) -> str:
        """System prompt under which the shared response is generated."""
        given = self.generation.system_prompt
        if given is not None:
            return given
        return next(p.system_prompt for p in self.personas if p.name == self.anchor)


def read_study(config: dict[str, Any], source: str = "the config") -> Study:
    """Check a config, its tables and every file that it names, and fill in defaults.

    Args:
        config: the parsed YAML of one config file; paths in it are relative to the working
            directory.
        source: name of the config file, for messages.

    Raises:
        InputError: one sentence naming the file, the row or key, and the remedy.
    """
    check_form(config, source)
    study = Study(
        name=config["study"],
        source=source,
        personas=read_personas(config["personas"]),
        prompts=_on_topics(config, source),
        anchor=config.get("anchor"),
        model=_with_template(Model.of(**config.get("model", {})), source),
        generation=Generation.of(**config.get("generation", {})),
        scoring=Scoring.of(**config.get("scoring", {})),
        divergence=Divergence.of(**config.get("divergence", {})),
        geometry=Geometry.of(**config["geometry"]),
        probe=Probe.of(**config.get("probe", {})),
        intervention=Intervention.of(**config.get("intervention", {})),
        alignment=alignment_of(config),
        rdm={kind: RdmFile.of(**file) for kind, file in config.get("rdm", {}).items()},
        figures=Figures.of(**config.get("figures", {})),
        execution=Execution.of(**config.get("execution", {})),
        bundle=Bundle.of(**config.get("bundle", {})),
    )
    study = replace(study, remarks=check_study(study, config))
    return replace(study, model=_with_kernel(study)) if study.needs_model else study


def alignment_of(config: dict[str, Any]) -> Alignment:
    """The `alignment` section of a config, each gate with its layer."""
    layer = config["geometry"]["headline_layer"]
    gates = [{"layer": layer, **gate} for gate in config["alignment"]["gates"]]
    return Alignment.of(**{**config["alignment"], "gates": gates})


def _on_topics(config: dict[str, Any], source: str) -> list[Prompt]:
    """The prompts of the study's table: those on `topics` where it names some."""
    prompts, topics = read_prompts(config["prompts"]), config.get("topics")
    if topics is None:
        return prompts
    known = sorted({prompt.topic for prompt in prompts if prompt.topic is not None})
    for topic in topics:
        if topic not in known:
            raise InputError(
                f"{source}: topics has '{topic}', which no prompt of {config['prompts']} is on; "
                + (f"choose among {', '.join(known)}." if known else "remove 'topics'.")
            )
    return [prompt for prompt in prompts if prompt.topic in topics]


def _with_template(model: Model, source: str) -> Model:
    """The model section with the text of its chat template, which may be the name of a file."""
    template = model.chat_template
    if template is None or "{" in template:
        return model
    if not Path(template).is_file():
        raise InputError(
            f"{source}: model.chat_template is '{template[:60]}', which is neither a file nor a "
            f"Jinja template; correct it."
        )
    return replace(model, chat_template=read_text(template))


def _with_kernel(study: Study) -> Model:
    """The model section with the attention kernel that `auto` stands for: part of every key."""
    model = study.model
    try:
        return replace(model, attention=attention_kernel(model.attention, known_config(model)))
    except InputError as error:
        raise InputError(f"{study.source}: {error}") from None
