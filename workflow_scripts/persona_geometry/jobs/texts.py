"""The texts that a study, or one GPU job of it, has rendered, under the names that rows go by."""

from collections.abc import Sequence
from typing import Any

from persona_geometry.jobs.task import Settings, Task
from persona_geometry.model.prompts import Texts, check_prompts
from persona_geometry.study.config import Study


def study_texts(study: Study, personas: str, prompts: str) -> Texts:
    """A study's texts, named by its tables (the paths of the files) and their rows."""
    by_row = {f"{personas}, persona '{p.name}'": p.system_prompt for p in study.personas}
    name = next((row for row, text in by_row.items() if text == study.response_system_prompt), None)
    return Texts(
        personas=by_row,
        prompts={f"{prompts}, prompt '{prompt.name}'": prompt.text for prompt in study.prompts},
        of_responses=(
            name or f"{study.source}, generation.system_prompt",
            study.response_system_prompt,
        ),
    )


def check_tasks(
    tokenizer: Any, tasks: Sequence[Task], settings: Settings, positions: int | None
) -> None:
    """Check on the machine of a GPU job what was checked before it was started.

    Args:
        tokenizer: the model's.
        tasks: the job's work; its personas are named by their texts.
        settings: the job's.
        positions: how many tokens the model has positions for; None for any number.

    Raises:
        InputError: as `check_prompts`.
    """
    texts = dict.fromkeys(text for task in tasks for text in task.cells.values())
    named = {f"persona {n}, {persona_name(text)}": text for n, text in enumerate(texts, start=1)}
    check_prompts(
        tokenizer,
        settings.model,
        Texts(
            personas=named,
            prompts={f"prompt '{task.name}'": task.user for task in tasks},
            of_responses=("the responses' system prompt", settings.response_system_prompt),
        ),
        positions,
        max_new_tokens=settings.generation.max_new_tokens,
        end_of_turn=settings.scoring.end_of_turn,
    )


def persona_name(system_prompt: str) -> str:
    """What a persona is called where its row is not known: the beginning of its text."""
    return f"system prompt {system_prompt[:60]!r}"
