"""Receipts of responses: found, verified, repaired and pruned like those of cells."""

from pathlib import Path

import pytest

from persona_geometry.store.maintenance import inventory, prune, repair, verify
from persona_geometry.store.store import Receipt, Response, Store
from persona_geometry.study.recipes import Item
from persona_geometry.study.schedule import shard_name, shard_responses
from persona_geometry.study.tables import Prompt

KEYS = ["r0", "r1", "r2"]


def item(index: int) -> Item:
    return Item(Prompt(f"q{index}", f"{index}?"), f"i{index}", f"r{index}", {"a": f"c{index}"})


def certify(store: Store, keys: list[str]) -> None:
    store.write_receipt(shard_name(keys), Receipt(frozenset(keys), "m", {}), "responses")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for n, key in enumerate(KEYS):
        store.write_response(key, Response([n, 7], f"{n}", "stop"), {})
    certify(store, KEYS)
    return store


def test_they_are_apart_from_receipts_of_cells(store: Store) -> None:
    assert store.receipts() == {}
    assert store.receipts("responses") == {shard_name(KEYS): frozenset(KEYS)}
    assert inventory(store)["receipts"][0] == 1


def test_one_more_prompt_plans_one_job_and_keeps_the_old_receipt(store: Store) -> None:
    items = [item(n) for n in range(4)]
    assert shard_responses(items[:2], store.receipts("responses")).planned == {}
    sharding = shard_responses(items, store.receipts("responses"))
    whole = shard_name([*KEYS, "r3"])
    assert list(sharding.planned) == [whole]
    assert sharding.shard_of == dict.fromkeys(["q0", "q1", "q2"], shard_name(KEYS)) | {"q3": whole}


def test_missing_response_breaks_its_receipt_and_repair_plans_it_again(store: Store) -> None:
    assert not verify(store).broken_receipts
    path = store.response_path("r1")
    path.write_text(path.read_text().replace("7", "8", 1))
    found = verify(store)
    assert found.damaged == [path]
    assert found.broken_receipts == [store.receipt_path(shard_name(KEYS), "responses")]
    repair(found)
    assert store.read_response("r1") is None and store.read_response("r0") is not None
    items = [item(n) for n in range(3)]
    assert len(shard_responses(items, store.receipts("responses")).planned) == 1


def test_prune_keeps_certifying_what_is_kept(store: Store) -> None:
    kept = [item(0), item(2)]
    assert prune(store, kept, dry_run=True)[0] == 2 and len(store.receipts("responses")) == 1
    prune(store, kept, dry_run=False)
    assert store.receipts("responses") == {shard_name(["r0", "r2"]): frozenset(["r0", "r2"])}
    assert store.read_response("r1") is None
    assert shard_responses(kept, store.receipts("responses")).planned == {}
