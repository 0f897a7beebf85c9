"""Which GPU job serves which prompt."""

import json
from dataclasses import asdict, replace

import pytest

from persona_geometry.study.recipes import Item
from persona_geometry.study.schedule import (
    Schedule,
    Sharding,
    first_names,
    prompts_a_job,
    shard_cells,
    shard_responses,
)
from persona_geometry.study.tables import Prompt


def make(n_prompts: int, personas: str = "abc") -> list[Item]:
    return [
        Item(Prompt(f"q{q}", f"{q}?"), f"i{q}", f"r{q}", {p: f"c{q}{p}" for p in personas})
        for q in range(n_prompts)
    ]


def receipts_of(items: list[Item], per_job: int) -> dict[str, frozenset[str]]:
    sharding = shard_cells(items, per_job, {})
    return {
        shard: frozenset(c for item in group for c in item.cells.values())
        for shard, group in sharding.planned.items()
    }


def test_shards_are_cut_in_order() -> None:
    sharding = shard_cells(make(5), 2, {})
    assert [len(group) for group in sharding.planned.values()] == [2, 2, 1]
    assert set(sharding.shard_of) == {f"q{q}" for q in range(5)}
    assert len(shard_responses(make(5), {}).planned) == 1


def test_finished_shards_are_not_planned_and_others_keep_their_names() -> None:
    items = make(5)
    all_receipts = receipts_of(items, 2)
    first = next(iter(all_receipts))
    sharding = shard_cells(items, 2, {first: all_receipts[first]})
    assert set(sharding.planned) == set(all_receipts) - {first}


def test_fewer_personas_and_other_shard_sizes_need_nothing() -> None:
    receipts = receipts_of(make(5), 2)
    assert shard_cells(make(5, "ca"), 2, receipts).planned == {}
    assert shard_cells(make(5), 3, receipts).planned == {}
    assert len(shard_cells(make(5, "abcd"), 2, receipts).planned) == 3


def test_top_tokens_that_are_asked_for_need_a_receipt_that_has_them() -> None:
    plain = make(2)
    old = receipts_of(plain, 2)
    asked = [replace(i, top_tokens={p: f"{c}-top" for p, c in i.cells.items()}) for i in plain]
    planned = shard_cells(asked, 2, old).planned
    assert len(planned) == 1 and not set(planned) & set(old)
    new = {shard: frozenset().union(*(i.keys for i in group)) for shard, group in planned.items()}
    assert shard_cells(asked, 2, old | new).planned == {}
    assert shard_cells(plain, 2, new).planned == {}


def test_oldest_covering_receipt_serves() -> None:
    items = make(1)
    cells = frozenset(items[0].cells.values())
    receipts = {"old": cells | {"x"}, "newer": cells}
    assert shard_cells(items, 1, receipts).shard_of == {"q0": "old"}


def test_gpu_jobs_are_those_that_a_waiting_prompt_needs() -> None:
    items = make(4)
    by_prompt = {item.prompt.name: item for item in items}
    cells, responses = shard_cells(items, 2, {}), shard_responses(items, {})
    assert Schedule(by_prompt, cells, Sharding({}, {}, {})).gpu_jobs == 2
    assert Schedule(by_prompt, cells, responses).gpu_jobs == 3
    done = shard_cells(items, 2, receipts_of(items, 2))
    # No cell is missing, so nobody asks for the responses that certify nothing.
    assert Schedule(by_prompt, done, responses).gpu_jobs == 0
    answered = {next(iter(responses.planned)): frozenset(item.response for item in items)}
    assert Schedule(by_prompt, cells, shard_responses(items, answered)).gpu_jobs == 2


def test_long_shards_are_named_by_their_first_prompts() -> None:
    assert first_names(make(2)) == "q0, q1"
    assert first_names(make(7)) == "q0, q1, q2, q3, q4 and 2 more"


def test_items_survive_being_plain() -> None:
    item = make(1)[0]
    assert Item.of_plain(json.loads(json.dumps(asdict(item)))) == item


@pytest.mark.parametrize(
    ("n_prompts", "most", "at_once", "expected"),
    [
        (20, 20, 0, 20),
        (20, 400, 8, 20),
        (39, 400, 8, 39),
        (40, 400, 8, 20),
        (41, 400, 2, 21),
        (200, 400, 8, 25),
        (200, 20, 2, 20),
        (2000, 400, 2, 400),
        (2000, 1, 2, 1),
    ],
)
def test_gpus_share_prompts_where_each_has_twenty(
    n_prompts: int, most: int, at_once: int, expected: int
) -> None:
    assert prompts_a_job(n_prompts, most, at_once) == expected
