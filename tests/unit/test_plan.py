"""The plan: what is new, and what it takes by formulas that hold to what was measured."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from persona_geometry.jobs.estimate import (
    Shape,
    Work,
    gpu_bytes,
    gpus_needed,
    seconds_as_before,
    seconds_by_formula,
    shape_of,
)
from persona_geometry.jobs.plan import Plan, count, describe, make_plan
from persona_geometry.jobs.size import runtime_minutes
from persona_geometry.model.hub import Outline
from persona_geometry.store.store import Receipt, Response, Store
from persona_geometry.study.recipes import Item
from persona_geometry.study.sections import Generation, Model, Scoring
from persona_geometry.study.tables import Prompt

PERFORMANCE = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
SEVEN_B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "num_hidden_layers": 28,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
SEVENTY_B = {
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "num_hidden_layers": 80,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}


def shape(config: dict[str, Any]) -> Shape:
    found = shape_of(config)
    assert found is not None
    return found


def scored(prompts: int, personas: int, **more: Any) -> Work:
    pairs = personas * (personas - 1) // 2
    return Work(
        cells=prompts * personas,
        forced=prompts * personas,
        logits=prompts * personas,
        pairs=prompts * pairs,
        prompt_tokens=65,
        **more,
    )


def near(value: float, *measured: float, within: float = 0.1) -> bool:
    return min(measured) * (1 - within) <= value <= max(measured) * (1 + within)


def test_parameters_are_counted_from_the_config_alone() -> None:
    assert near(shape(SEVEN_B).parameters, 7.6156e9, within=0.0001)
    assert near(shape(SEVENTY_B).parameters, 70.5537e9, within=0.0001)
    tied = shape(SEVEN_B | {"tie_word_embeddings": True})
    assert tied.parameters == shape(SEVEN_B).parameters - 152064 * 3584 and tied.looked_up == 0


def test_parameters_of_another_family_are_counted_from_its_weight_files() -> None:
    config = {"model_type": "odd", "n_embd": 64, "n_layer": 2, "vocab_size": 1000}
    assert shape_of(config) is None
    found = shape_of(config | {"torch_dtype": "float32", "n_routed_experts": 8}, 4_000_000)
    assert found is not None and (found.parameters, found.sparse) == (1_000_000, True)


@pytest.mark.parametrize(
    ("recorded", "value", "measured"),
    [
        # What docs/performance.md says, what the formula gives, and the measurements there.
        ("0.146 s", seconds_by_formula(scored(1, 20), shape(SEVEN_B), 2).force, (0.146, 0.159)),
        ("0.017 s", seconds_by_formula(scored(1, 20), shape(SEVEN_B), 2).diverge, (0.0166, 0.017)),
        ("1.31 s", seconds_by_formula(scored(1, 200), shape(SEVEN_B), 2).force, (1.31, 1.46)),
        ("0.45 s", seconds_by_formula(scored(1, 200), shape(SEVEN_B), 2).diverge, (0.45,)),
        ("2.6 s", seconds_by_formula(Work(responses=20), shape(SEVEN_B), 2).generate, (2.1, 2.6)),
        ("0.021 s", seconds_by_formula(Work(responses=200), shape(SEVEN_B), 2).generate, (4.2, 5)),
        ("18.6 GB", gpu_bytes(shape(SEVEN_B), 2, 20, scored(1, 20)), (18.6e9,)),
    ],
)
def test_formulas_give_what_was_measured_at_7b(
    recorded: str, value: float, measured: tuple[float, ...]
) -> None:
    assert recorded in PERFORMANCE
    assert near(value, *measured, within=0.15)


def test_the_whole_gpu_job_takes_by_formula_what_six_jobs_took() -> None:
    took = [float(s) for s in re.findall(r"(\d\d\.\d)(?:, | s \|$)", _row("tried"), re.MULTILINE)]
    assert len(took) == 3
    whole = seconds_by_formula(scored(20, 20, responses=20), shape(SEVEN_B), 2)
    assert near(whole.total, *took, 31.2, within=0.05)


def _row(name: str) -> str:
    return next(line for line in PERFORMANCE.splitlines() if line.startswith(f"| {name} |"))


def test_a_70b_model_on_eight_cards() -> None:
    work = scored(2000, 20, responses=2000, jobs=2)
    seven, seventy = (seconds_by_formula(work, shape(c), 2) for c in (SEVEN_B, SEVENTY_B))
    assert gpus_needed(shape(SEVEN_B), 2) == 1 and gpus_needed(shape(SEVENTY_B), 2) == 3
    assert gpu_bytes(shape(SEVENTY_B), 2, 20, work, gpus=4) < 80e9
    assert gpu_bytes(shape(SEVENTY_B), 2, 20, work, gpus=1) > 140e9
    assert near(seventy.force / seven.force, 69.5 / 7.07, within=0.01)  # parameters in products
    assert near(seventy.generate / seven.generate, 70.55 / 7.616, within=0.01)
    words = {"seven": 152064, "seventy": 128256}
    assert seventy.diverge / seven.diverge < 8192 / 3584 * words["seventy"] / words["seven"]


@pytest.mark.parametrize("config", [SEVEN_B, SEVENTY_B])
@pytest.mark.parametrize("prompts", [20, 400, 4000])
def test_the_limit_asked_for_is_twice_what_the_formula_says_at_least(
    config: dict[str, Any], prompts: int
) -> None:
    weights = shape(config).parameters * 2
    job = seconds_by_formula(scored(prompts, 20, responses=prompts), shape(config), 2)
    assert runtime_minutes(weights, prompts, 20, 256) * 60 > 2 * job.total


def test_rates_of_earlier_jobs_are_taken_where_there_are_any() -> None:
    account = {
        "responses": 2,
        "cells": 10,
        "pairs": 20,
        "device": "cpu",
        "seconds": {"load": 1.0, "generate": 4.0, "force": 30.0, "diverge": 10.0},
    }
    found = seconds_as_before(Work(jobs=2, responses=1, cells=5, forced=5, pairs=4), [account])
    assert found is not None and found.source == "as this model's jobs took on cpu"
    assert (found.generate, found.force, found.diverge, found.start) == (2, 15, 2, 2 * (14 + 1))
    assert seconds_as_before(Work(), []) is None
    assert seconds_as_before(Work(), [account | {"cells": 0}]) is None


PERSONAS = {"poet": "You are a poet.", "anchor": ""}


def item(name: str, *personas: str) -> Item:
    return Item(Prompt(name, "Why?"), f"item-{name}", f"response-{name}", _cells(name, personas))


def _cells(name: str, personas: tuple[str, ...]) -> dict[str, str]:
    return {persona: f"{persona}-{name}" for persona in personas}


def planned(
    store: Store,
    items: list[Item],
    config: dict[str, Any] | None,
    unknown: str | None = None,
    past: tuple[Receipt, ...] = (),
    gpus: int = 1,
    **scoring: Any,
) -> Plan:
    download = None if unknown else 0
    return make_plan(
        count(store, items, Scoring.of(**scoring).keep_states),
        items,
        PERSONAS,
        2,
        len(items),
        Model.of(name="owner/model", gpus=gpus),
        Generation.of(max_new_tokens=10),
        Scoring.of(**scoring),
        Outline(config, None, download, unknown),
        past,
    )


def line(text: str, name: str) -> str:
    return next(one.removeprefix(name).strip() for one in text.splitlines() if one.startswith(name))


def test_new_personas_and_prompts_are_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for persona in ("poet", "anchor"):
        path = store.cell_path("item-q1", f"{persona}-q1")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    store.write_response("response-q1", Response([1], "a", "stop"), {})
    names = ("poet", "anchor", "nurse")
    found = count(store, [item("q1", *names), item("q2", *names)], keep_states=True)
    assert (found.personas, found.prompts) == (["nurse"], ["q2"])
    assert (found.responses, found.cells, found.pairs) == ((1, 1), (2, 4), (0, 6))
    text = describe(planned(store, [item("q1", *names), item("q2", *names)], SEVEN_B), "Study")
    assert line(text, "new personas") == "nurse" and line(text, "new prompts") == "q2"


def test_top_tokens_and_cells_without_states_are_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = ("poet", "anchor", "nurse")
    for persona in names[:2]:
        path = store.cell_path("item-q1", f"{persona}-q1")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    path = store.top_tokens_path("item-q1", "top-poet")
    path.parent.mkdir()
    path.write_bytes(b"")
    plain = item("q1", *names[:2])
    kept = replace(plain, top_tokens={"poet": "top-poet", "anchor": "top-anchor"})
    for keep_states, again in ((True, 0), (False, 2)):
        found = count(store, [plain], keep_states)  # its pair is missing
        assert (found.cells, found.pairs, found.forced) == ((2, 0), (0, 1), again)
        assert (found.top_tokens, found.logits) == ((0, 0), 2)
        found = count(store, [kept, item("q2", *names)], keep_states)
        assert (found.top_tokens, found.logits, found.forced) == ((1, 1), 5, 3 + again)
    text = describe(planned(store, [kept], SEVEN_B), "Study")
    assert line(text, "top tokens (of cells)").split() == ["1", "1"]
    assert "run again" not in text
    three = planned(store, [kept], SEVEN_B, top_tokens=3)
    assert three.store_bytes == 10 * 12 + 10 * 6 * 3
    text = describe(planned(store, [kept], SEVEN_B, keep_states=False), "Study")
    assert line(text, "run again, no states") == "2"


def test_memory_time_and_cost_stand_in_the_plan(tmp_path: Path) -> None:
    items = [item("q1", *PERSONAS), item("q2", *PERSONAS)]
    plan = planned(Store(tmp_path), items, SEVENTY_B, gpus=4)
    text = describe(plan, "Study", price=2.5)
    assert plan.seconds is not None
    cost = plan.seconds.total * 4 / 3600 * 2.5
    assert line(text, "cost").startswith(f"{cost:.2f} (") and "at 2.5)" in text
    assert "on 4 GPUs, " in text and "on 8 at once" in text
    assert "GPUs of 80 GB" not in text
    crowded = describe(planned(Store(tmp_path), items, SEVENTY_B), "Study")
    assert "the weights need 3 GPUs of 80 GB: set model.gpus" in crowded
    assert "in money with --config price_per_gpu_hour" in crowded


def test_what_is_unknown_is_said_with_its_reason(tmp_path: Path) -> None:
    text = describe(planned(Store(tmp_path), [item("q1", *PERSONAS)], None, "No network."), "Study")
    for name in ("download", "store grows by", "GPU memory", "GPU jobs take", "cost"):
        assert line(text, name) == "unknown"
    assert text.endswith("Unknown, because: No network.")


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 2, "hidden_size": 1000},
        {"n_layer": 2, "n_embd": 1000},
        {"n_layers": 2, "d_model": 1000},
        {"text_config": {"num_hidden_layers": 2, "hidden_size": 1000}, "vision_config": {}},
        {"text_config": None, "num_hidden_layers": 2, "hidden_size": 1000},
    ],
)
def test_the_plan_knows_the_size_of_every_familys_states(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    items = [item("q1", *PERSONAS)]
    plan = planned(Store(tmp_path), items, config)
    assert plan.store_bytes == 2 * (2 * 2 + 10) * 1000 * 2 + 10 * 12
    assert planned(Store(tmp_path), items, {"model_type": "odd"}).store_bytes is None
