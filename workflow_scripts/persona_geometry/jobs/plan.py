"""What a study would still compute, before anything is paid for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from persona_geometry.model.tensors import depth_of, text_config, width_of
from persona_geometry.store.store import Receipt, Store


@dataclass(frozen=True)
class Plan:
    """Counts of a study's results: already in the store, and still to compute.

    Attributes:
        responses, cells, pairs: (stored, missing). A cell is one forward pass over prompt and
            response under one persona; a pair is the divergences of two cells.
        gpu_jobs: GPU jobs that will be submitted.
        gigabytes: upper bound of what the store will grow by, or None where the model's size is
            not known yet, or not told by its config.json.
        gpu_seconds: seconds of forward passes and divergences, from what the store's receipts
            for this model took; None before the first.
    """

    responses: tuple[int, int]
    cells: tuple[int, int]
    pairs: tuple[int, int]
    gpu_jobs: int
    gigabytes: float | None
    gpu_seconds: float | None


def make_plan(
    store: Store,
    items: Sequence[tuple[str, str, Sequence[str]]],
    gpu_jobs: int,
    max_new_tokens: int,
    keep_states: bool,
    bytes_per_value: int,
    model_config: dict[str, Any] | None,
    past: Sequence[Receipt],
) -> Plan:
    """Count what the store lacks.

    Args:
        store: the store.
        items: (item key, response key, cell keys) a prompt.
        gpu_jobs: GPU jobs in the DAG.
        max_new_tokens: longest response.
        keep_states: whether cells keep their hidden states.
        bytes_per_value: 2 or 4, by the model's dtype.
        model_config: the model's config.json, where it is known.
        past: receipts of GPU jobs that ran this model.
    """
    responses = cells = pairs = cells_missing = pairs_missing = responses_missing = 0
    for item, response, keys in items:
        lacking_cells, lacking_pairs = store.missing(item, keys)
        responses += 1
        responses_missing += not store.response_path(response).is_file()
        cells += len(keys)
        cells_missing += len(lacking_cells)
        pairs += len(keys) * (len(keys) - 1) // 2
        pairs_missing += len(lacking_pairs)
    return Plan(
        responses=(responses - responses_missing, responses_missing),
        cells=(cells - cells_missing, cells_missing),
        pairs=(pairs - pairs_missing, pairs_missing),
        gpu_jobs=gpu_jobs,
        gigabytes=_gigabytes(
            cells_missing, pairs_missing, max_new_tokens, keep_states, bytes_per_value, model_config
        ),
        gpu_seconds=_seconds(cells_missing, pairs_missing, past),
    )


def _gigabytes(
    cells: int,
    pairs: int,
    tokens: int,
    keep_states: bool,
    width: int,
    config: dict[str, Any] | None,
) -> float | None:
    if config is None:
        return None
    text = text_config(config)
    depth, hidden_size = depth_of(text), width_of(text)
    if depth is None or hidden_size is None:
        return None
    values = 2 * depth + (tokens if keep_states else 0)
    return (cells * values * hidden_size * width + pairs * tokens * 12) / 1e9


def _seconds(cells: int, pairs: int, past: Sequence[Receipt]) -> float | None:
    accounts = [receipt.account for receipt in past]
    cells_done: int = sum(account["cells"] for account in accounts)
    if not cells_done:
        return None
    forcing: float = sum(account["seconds"]["force"] for account in accounts) / cells_done
    pairs_done: int = sum(account["pairs"] for account in accounts)
    diverging: float = sum(account["seconds"]["diverge"] for account in accounts)
    return cells * forcing + (pairs * diverging / pairs_done if pairs_done else 0.0)


def describe(plan: Plan, title: str) -> str:
    """The plan as a table for a terminal."""
    rows = [
        ("responses", plan.responses),
        ("cells (forward passes)", plan.cells),
        ("pairs (divergences)", plan.pairs),
    ]
    lines = [title, f"{'':24}{'in the store':>14}{'to compute':>14}"]
    lines += [f"{name:24}{stored:>14,}{missing:>14,}" for name, (stored, missing) in rows]
    lines.append(f"{'GPU jobs':24}{'':14}{plan.gpu_jobs:>14,}")
    size = (
        "unknown until the model is found"
        if plan.gigabytes is None
        else (f"at most {plan.gigabytes:,.2f} GB")
    )
    took = (
        "unknown until a first job has run"
        if plan.gpu_seconds is None
        else (f"about {plan.gpu_seconds:,.0f} s, and one model load a job")
    )
    lines.append(f"{'store grows by':24}{size}")
    lines.append(f"{'scoring takes':24}{took}")
    return "\n".join(lines)
