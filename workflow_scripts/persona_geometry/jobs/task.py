"""What a GPU job is given, and what it leaves an account of: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from persona_geometry.study.config import Study
from persona_geometry.study.intervention import Ablation, read_ablation
from persona_geometry.study.recipes import Item
from persona_geometry.study.sections import Generation, Model, Scoring


@dataclass(frozen=True)
class Task:
    """An item's recipe in full, as a GPU job needs it.

    Attributes:
        name: the prompt's name, for messages.
        user: the prompt's text.
        item, response: keys.
        cells: cell key to system prompt.
        top_tokens: cell key to that of its likeliest next tokens; empty where none are kept.
    """

    name: str
    user: str
    item: str
    response: str
    cells: dict[str, str]
    top_tokens: dict[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """Keys of all that its receipt certifies."""
        return {*self.cells, *self.top_tokens.values()}

    @classmethod
    def of(cls, item: Item, system_prompts: Mapping[str, str]) -> "Task":
        """The task of an item, with the system prompts of its personas by name."""
        cells = {key: system_prompts[persona] for persona, key in item.cells.items()}
        top = {item.cells[persona]: key for persona, key in item.top_tokens.items()}
        return cls(item.prompt.name, item.prompt.text, item.key, item.response, cells, top)


@dataclass(frozen=True)
class Settings:
    """What of a study's config a GPU job needs. `asdict` makes it plain, `of_plain` whole again."""

    model: Model
    generation: Generation
    scoring: Scoring
    response_system_prompt: str
    device: str = "auto"
    batch_tokens: int = 0
    ablation: Ablation | None = None

    @classmethod
    def of_study(cls, study: Study) -> "Settings":
        """Batches are sized from free memory until somebody says otherwise."""
        return cls(
            model=study.model,
            generation=study.generation,
            scoring=study.scoring,
            response_system_prompt=study.response_system_prompt,
            device=study.execution.device,
            ablation=read_ablation(study),
        )

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Settings":
        sections = {
            "model": Model(**plain["model"]),
            "generation": Generation(**plain["generation"]),
            "scoring": Scoring(**plain["scoring"]),
            "ablation": Ablation(**ablation) if (ablation := plain.get("ablation")) else None,
        }
        return cls(**{**plain, **sections})


@dataclass
class Account:
    """What a job did, for its receipt: counts, seconds a stage, device, peak memory, versions."""

    responses: int = 0
    cells: int = 0
    pairs: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("load", "check", "generate", "force", "diverge"), 0.0
        )
    )
    device: str | None = None
    peak_gpu_bytes: int | None = None
    packages: dict[str, str] | None = None

    @property
    def idle(self) -> bool:
        """Whether the job found everything in the store, and computed nothing."""
        return self.device is None
