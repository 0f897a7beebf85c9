"""What a study would still compute, before anything is paid for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from persona_geometry.jobs.estimate import (
    CARD_BYTES,
    Seconds,
    Work,
    gpu_bytes,
    gpus_needed,
    seconds_as_before,
    seconds_by_formula,
    shape_of,
)
from persona_geometry.jobs.lacking import lacking_of
from persona_geometry.jobs.size import memory_mb, runtime_minutes
from persona_geometry.jobs.task import Task
from persona_geometry.model.hub import Outline
from persona_geometry.model.tensors import depth_of, text_config, width_of
from persona_geometry.store.store import Receipt, Store
from persona_geometry.study.recipes import Item
from persona_geometry.study.sections import Generation, Model, Scoring

CHARACTERS_A_TOKEN = 4
TOKENS_OF_TEMPLATE = 20
BYTES_A_TOP_TOKEN = 6  # an id and a log-probability
NAMED = 10


@dataclass(frozen=True)
class Counts:
    """A study's results: already in the store, and still to compute.

    Attributes:
        responses, cells, pairs, top_tokens: (stored, missing). A cell is one forward pass over
            prompt and response under one persona, and has its top tokens; a pair is the divergences
            of two cells.
        logits: cells whose logits are needed for what is missing, stored cells among them.
        forced: cells that the model is run over: the missing ones, and where states are not kept
            all whose logits are needed.
        personas, prompts: names of which the store has nothing yet.
    """

    responses: tuple[int, int]
    cells: tuple[int, int]
    pairs: tuple[int, int]
    top_tokens: tuple[int, int]
    logits: int
    forced: int
    personas: list[str]
    prompts: list[str]


@dataclass(frozen=True)
class Plan:
    """What is still to compute, and what it takes.

    Attributes:
        counts: what the store has and lacks.
        n_personas, n_prompts: of the study.
        gpu_jobs: GPU jobs that will be submitted.
        gpus: that each of them takes.
        outline: what is known of the model.
        store_bytes: upper bound of what the store will grow by.
        gpu_bytes: peak memory of a GPU.
        gpus_needed: H100s that the weights must be spread over.
        seconds: of the GPU jobs, one after another.
        asked_mb, asked_minutes: host memory and time limit that a scheduler is asked for.

    What is None is unknown, and `outline.unknown` says why.
    """

    counts: Counts
    n_personas: int
    n_prompts: int
    gpu_jobs: int
    gpus: int
    outline: Outline
    store_bytes: float | None
    gpu_bytes: float | None
    gpus_needed: int | None
    seconds: Seconds | None
    asked_mb: int | None
    asked_minutes: int | None


def count(store: Store, items: Iterable[Item], keep_states: bool) -> Counts:
    """Count what the store has and lacks of a study's recipes."""
    counted = np.zeros((2, 4), dtype=int)  # all, and the missing ones
    logits = forced = 0
    names: dict[str, None] = {}
    known: set[str] = set()
    new_prompts = []
    for item in items:
        n, texts = len(item.cells), dict.fromkeys(item.cells, "")  # keys tell what is lacking
        lacking = lacking_of(store, Task.of(item, texts))
        new, no_response = set(lacking.cells), not store.response_path(item.response).is_file()
        counted += np.array(
            [
                (1, n, n * (n - 1) // 2, len(item.top_tokens)),
                (no_response, len(new), len(lacking.pairs), len(lacking.top_tokens)),
            ]
        )
        logits += len(lacking.needed)
        forced += len(lacking.forced(keep_states))
        names |= dict.fromkeys(item.cells)
        known |= {name for name, key in item.cells.items() if key not in new}
        if len(new) == n:
            new_prompts.append(item.prompt.name)
    responses, cells, pairs, top_tokens = ((int(n - no), int(no)) for n, no in counted.T)
    return Counts(
        responses=responses,
        cells=cells,
        pairs=pairs,
        top_tokens=top_tokens,
        logits=logits,
        forced=forced,
        personas=[name for name in names if name not in known],
        prompts=new_prompts,
    )


def make_plan(
    counts: Counts,
    items: Sequence[Item],
    system_prompts: Mapping[str, str],
    gpu_jobs: int,
    largest_job: int,
    model: Model,
    generation: Generation,
    scoring: Scoring,
    outline: Outline,
    past: Sequence[Receipt],
) -> Plan:
    """What the missing results take.

    Args:
        counts: what the store has and lacks of the items.
        items: the study's recipes.
        system_prompts: of every persona.
        gpu_jobs: GPU jobs in the DAG.
        largest_job: prompts that the largest of them takes.
        model, generation, scoring: the study's sections.
        outline: what is known of the model.
        past: receipts of GPU jobs that ran this model.
    """
    work = Work(
        jobs=gpu_jobs,
        responses=counts.responses[1],
        cells=counts.cells[1],
        forced=counts.forced,
        pairs=counts.pairs[1],
        logits=counts.logits,
        new_tokens=generation.max_new_tokens,
        prompt_tokens=_prompt_tokens(items, system_prompts),
        starts_vllm=generation.backend == "vllm" and counts.responses[1] > 0,
    )
    value_bytes = 4 if model.dtype == "float32" else 2
    shape = shape_of(outline.config, outline.weight_bytes) if outline.config else None
    weights = outline.weight_bytes or (shape and shape.parameters * 2)
    seconds = seconds_as_before(work, [receipt.account for receipt in past])
    if seconds is None and shape:
        seconds = seconds_by_formula(work, shape, value_bytes)
    n = len(system_prompts)
    minutes = runtime_minutes(weights, largest_job, n, work.new_tokens) if weights else None
    return Plan(
        counts=counts,
        n_personas=n,
        n_prompts=len(items),
        gpu_jobs=gpu_jobs,
        gpus=model.gpus,
        outline=outline,
        store_bytes=_store_bytes(work, counts.top_tokens[1], scoring, value_bytes, outline),
        gpu_bytes=gpu_bytes(shape, value_bytes, n, work, model.gpus) if shape else None,
        gpus_needed=gpus_needed(shape, value_bytes) if shape else None,
        seconds=seconds,
        asked_mb=memory_mb(weights) if weights else None,
        asked_minutes=minutes,
    )


def _prompt_tokens(items: Sequence[Item], system_prompts: Mapping[str, str]) -> float:
    """Tokens before a response, on the average, at so many characters a token."""
    system = sum(map(len, system_prompts.values())) / max(1, len(system_prompts))
    user = sum(len(item.prompt.text) for item in items) / max(1, len(items))
    return TOKENS_OF_TEMPLATE + (system + user) / CHARACTERS_A_TOKEN


def _store_bytes(
    work: Work, top_tokens: int, scoring: Scoring, value_bytes: int, outline: Outline
) -> float | None:
    text = text_config(outline.config or {})
    depth, width = depth_of(text), width_of(text)
    if depth is None or width is None:
        return None
    values = 2 * depth + (work.new_tokens if scoring.keep_states else 0)
    a_token = 12 * work.pairs + BYTES_A_TOP_TOKEN * scoring.top_tokens * top_tokens
    return work.cells * values * width * value_bytes + work.new_tokens * a_token


def describe(plan: Plan, title: str, price: float | None = None) -> str:
    """The plan as a table for a terminal.

    Args:
        plan: what to say.
        title: its first line.
        price: of one GPU for an hour, in any currency.
    """
    counts = plan.counts
    rows = [
        ("responses", counts.responses),
        ("cells (forward passes)", counts.cells),
        ("pairs (divergences)", counts.pairs),
    ]
    if any(counts.top_tokens):
        rows.append(("top tokens (of cells)", counts.top_tokens))
    lines = [title, f"{'':24}{'in the store':>14}{'to compute':>14}"]
    lines += [f"{name:24}{stored:>14,}{missing:>14,}" for name, (stored, missing) in rows]
    if again := counts.forced - counts.cells[1]:
        lines.append(f"{'run again, no states':24}{'':14}{again:>14,}")
    said = {
        "new personas": _names(counts.personas, plan.n_personas),
        "new prompts": _names(counts.prompts, plan.n_prompts),
        "download": _download(plan.outline),
        "store grows by": _size(plan.store_bytes, "at most "),
        "GPU jobs": _jobs(plan),
    }
    if plan.gpu_jobs:
        said |= {
            "a job asks for": _asked(plan),
            "GPU memory": _memory(plan),
            "GPU jobs take": _time(plan),
            "cost": _cost(plan, price),
        }
    lines += [f"{name:24}{value}" for name, value in said.items()]
    if plan.outline.unknown:
        lines.append(f"Unknown, because: {plan.outline.unknown}")
    return "\n".join(lines)


def _names(new: Sequence[str], n: int) -> str:
    if not new:
        return "none"
    if len(new) == n:
        return f"all {n:,}"
    more = f" and {len(new) - NAMED:,} more" if len(new) > NAMED else ""
    return ", ".join(new[:NAMED]) + more


def _size(size: float | None, bound: str = "") -> str:
    """Bytes in words; three significant digits."""
    if size is None:
        return "unknown"
    unit, scale = ("GB", 1e9) if size >= 1e8 else ("MB", 1e6)
    return f"{bound}{size / scale:,.{0 if size >= 100 * scale else 1}f} {unit}" if size else "none"


def _download(outline: Outline) -> str:
    return "nothing" if outline.download_bytes == 0 else _size(outline.download_bytes)


def _jobs(plan: Plan) -> str:
    each = f", on {plan.gpus} GPUs each" if plan.gpus > 1 else ""
    return f"{plan.gpu_jobs:,}{each}"


def _asked(plan: Plan) -> str:
    gpus = f"{plan.gpus} GPU{'s' * (plan.gpus > 1)}"
    if plan.asked_mb is None:
        return f"{gpus}; memory and minutes unknown"
    return f"{gpus}, {plan.asked_mb / 1000:,.0f} GB of host memory, {plan.asked_minutes:,} minutes"


def _memory(plan: Plan) -> str:
    if plan.gpu_bytes is None or plan.gpus_needed is None:
        return "unknown"
    said = f"{_size(plan.gpu_bytes, 'about ')} a GPU, less where it has less"
    if plan.gpus_needed > plan.gpus:
        said += (
            f"; the weights need {plan.gpus_needed} GPUs of {CARD_BYTES / 1e9:.0f} GB: set "
            f"model.gpus to that at least"
        )
    return said


def _time(plan: Plan) -> str:
    seconds, jobs = plan.seconds, plan.gpu_jobs
    if seconds is None:
        return "unknown"
    about = "at most about" if seconds.at_most else "about"
    said = f"{about} {_duration(seconds.total)} on {plan.gpus} GPU{'s' * (plan.gpus > 1)}"
    if jobs > 1:
        said += f", {_duration(seconds.total / jobs)} on {jobs * plan.gpus:,} at once"
    return f"{said} ({seconds.source}; {_duration(seconds.start)} of it to start)"


def _cost(plan: Plan, price: float | None) -> str:
    if plan.seconds is None:
        return "unknown"
    hours = plan.seconds.total * plan.gpus / 3600
    spent = f"{hours:,.{3 if hours < 1 else 1}f} GPU hours"
    if price is None:
        return f"{spent}; in money with --config price_per_gpu_hour=2.5"
    return f"{hours * price:,.2f} ({spent} at {price:g})"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3600:,.1f} h"
