"""The sections of a config, typed. Their keys, defaults and meaning are the schema's."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import yaml

SCHEMA = Path(__file__).parents[3] / "config" / "schemas" / "config.schema.yaml"


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of a config, with a default and a description for every key."""
    content: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    return content


def keys(section: str) -> dict[str, dict[str, Any]]:
    """The schema of every key of a section, "gate" and "rdm_file" included."""
    found = schema()["$defs"].get(section) or schema()["properties"][section]
    properties: dict[str, dict[str, Any]] = found["properties"]
    return properties


@dataclass(frozen=True)
class Section:
    """A part of a config. `dataclasses.asdict` makes it plain; its class makes it whole again."""

    NAME: ClassVar[str]

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The section with the schema's default for every key that is not given.

        A key that has no default is None then.
        """
        defaults = {key: deepcopy(one.get("default")) for key, one in keys(cls.NAME).items()}
        return cls(**{**defaults, **given})


@dataclass(frozen=True)
class Model(Section):
    """A checkpoint, by `path`, `gguf`, or `name` and `revision`, and how it is run.

    `path` of a GGUF is where it is unpacked (`recipes.with_unpacked`), None until that is known;
    `chat_template` is the template's text.
    """

    NAME = "model"
    path: str | None
    gguf: str | None
    name: str | None
    revision: str | None
    dtype: Literal["float32", "bfloat16", "float16"]
    attention: str
    system_role: Literal["native", "fold", "refuse"]
    template_arguments: dict[str, Any]
    adapter: str | None
    chat_template: str | None
    gpus: int

    @property
    def hub(self) -> tuple[str, str]:
        """Name and commit of a model that `path` does not give."""
        assert self.name is not None and self.revision is not None, "the schema asks for both"
        return self.name, self.revision

    @property
    def source(self) -> str:
        """The folder, the GGUF file, or name@commit."""
        return self.gguf or self.path or "@".join(self.hub)

    @property
    def title(self) -> str:
        """The model in a line: its source, without the commit, and what was done to it."""
        title = self.gguf or self.path or self.hub[0]
        if self.gguf:
            title += " (GGUF)"
        return f"{title} with the adapter {self.adapter}" if self.adapter else title

    @property
    def sentence(self) -> str:
        """What is measured, and what was done to it, for a reader of the results."""
        what = f"The model is {self.gguf or self.source}, run in {self.dtype}"
        if self.gguf:
            what += ", from a GGUF file: quantised weights were unpacked to what they stand for"
        if self.adapter:
            what += f"; the adapter {self.adapter} is merged into its weights"
        if self.chat_template:
            what += "; the study gives its chat template"
        return what + "."


@dataclass(frozen=True)
class Generation(Section):
    """How the shared responses are generated."""

    NAME = "generation"
    backend: Literal["transformers", "vllm"]
    max_new_tokens: int
    system_prompt: str | None
    gpu_memory_utilization: float


@dataclass(frozen=True)
class Scoring(Section):
    """Which tokens of a response are scored, and what is kept of them."""

    NAME = "scoring"
    end_of_turn: bool
    retokenize: bool
    keep_states: bool
    top_tokens: int


@dataclass(frozen=True)
class Divergence(Section):
    """The behavioral RDM."""

    NAME = "divergence"
    estimator: Literal["js", "half_jeffreys"]
    cutoffs: list[int]

    @property
    def label(self) -> str:
        """The divergence, as figures name it."""
        return {"js": "JS divergence", "half_jeffreys": "Half-Jeffreys divergence"}[self.estimator]


@dataclass(frozen=True)
class Geometry(Section):
    """The RDMs of the hidden states."""

    NAME = "geometry"
    layers: list[int]
    headline_layer: int
    token: Literal["last_prompt_token", "response_mean"]
    also: list[str]
    components: int


@dataclass(frozen=True)
class Probe(Section):
    """Personas that are looked at closely; none where the study probes nothing."""

    NAME = "probe"
    personas: list[str] | None
    components: int


@dataclass(frozen=True)
class Intervention(Section):
    """A direction that is taken out of the hidden states; none where `directions` is None."""

    NAME = "intervention"
    directions: str | None
    direction: str
    layer: int | None


@dataclass(frozen=True)
class Gate(Section):
    """A threshold set in advance, on a statistic of one layer."""

    NAME = "gate"
    statistic: str
    comparison: Literal[">", ">=", "<", "<="]
    threshold: float
    layer: int


@dataclass(frozen=True)
class Alignment(Section):
    """How the RDMs are compared."""

    NAME = "alignment"
    permutations: int
    seed: int
    leave_out: list[str]
    top_k: int
    predictions: list[list[str]]
    bootstrap: int
    noise_ceiling_splits: int
    covariates: list[str]
    outcomes: str | None
    comparators: list[str]
    smallest_effect: float | None
    gates: list[Gate]

    @classmethod
    def of(cls, **given: Any) -> Self:
        """The section, with gates as the config has them or as `Gate`s."""
        gates = given.get("gates")
        if gates is not None:
            gates = [one if isinstance(one, Gate) else Gate.of(**one) for one in gates]
        return super().of(**{**given, "gates": gates})


@dataclass(frozen=True)
class RdmFile(Section):
    """An RDM that is read from a file instead of being measured."""

    NAME = "rdm_file"
    file: str
    sha256: str | None
    name: str | None
    unit: str | None


@dataclass(frozen=True)
class Figures(Section):
    """How figures are drawn."""

    NAME = "figures"
    width: Literal["column", "page"]


@dataclass(frozen=True)
class Execution(Section):
    """How the work is cut and placed; changes no result."""

    NAME = "execution"
    prompts_per_gpu_job: int
    device: Literal["auto", "cpu", "cuda"]
    batch_tokens: int


@dataclass(frozen=True)
class Bundle(Section):
    """What a bundle says of the results beside them."""

    NAME = "bundle"
    license: str | None
    authors: list[str]
