"""The store has no dead ends: whatever is lost or damaged is found, and the next run mends it."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from persona_geometry.errors import InputError
from persona_geometry.store.maintenance import LEFT_SECONDS, repair, studies_beside, verify
from persona_geometry.store.store import Cell, PairBlock, Receipt, Response, Store
from persona_geometry.study.recipes import items_on
from persona_geometry.study.schedule import shard_name

SAID = Response([3, 1, 4], "pi", "stop")
OTHER = Response([2, 7], "e", "stop")
CELLS = {"r": ["a", "b"], "s": ["c", "d"]}


def item(response: str) -> str:
    return items_on(response)[0]


def cell(said: Response = SAID) -> Cell:
    values = np.ones((3, 4), np.float32)
    return Cell(values, values[:2], values[:2], said.sha256)


def block(cells: list[str], said: Response = SAID) -> PairBlock:
    values = np.zeros((1, 3), np.float32)
    return PairBlock(cells, np.array([[0, 1]]), values, values, values, said.sha256)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two prompts that got the same response, certified together."""
    store = Store(tmp_path / "results" / "store")
    for response, cells in CELLS.items():
        store.write_response(response, SAID, {})
        for key in cells:
            store.write_cell(item(response), key, cell())
        store.write_pairs(item(response), block(cells))
    keys = frozenset(key for cells in CELLS.values() for key in cells)
    store.write_receipt(shard_name(keys), Receipt(keys, "m", {}))
    return store


def receipt(store: Store) -> Path:
    (path,) = store.root.glob("receipts/*.json")
    return path


def test_whole_store_has_nothing_to_mend(store: Store) -> None:
    found = verify(store)
    assert (found.bad, found.without_response, found.temporary) == (0, [], [])
    assert found.checked == 2 + 4 + 2 + 1


def test_one_of_two_equal_responses_that_is_lost_is_missed_and_its_cells_are_kept(
    store: Store,
) -> None:
    store.response_path("r").unlink()
    found = verify(store)
    assert found.damaged == [] and found.broken_receipts == [receipt(store)]
    assert found.without_response == [store.root / "items" / item("r")]
    repair(found)
    assert not store.receipts() and store.cells_of(item("r")) == {"a", "b"}
    assert verify(store).bad == 0
    store.write_response("r", SAID, {})
    assert verify(store).without_response == []


def test_damaged_response_is_removed_and_its_cells_are_kept(store: Store) -> None:
    store.response_path("r").write_text('{"response": {"token_ids": [3')
    found = verify(store)
    assert found.damaged == [store.response_path("r")]
    repair(found)
    assert store.read_response("r") is None and store.cells_of(item("r")) == {"a", "b"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"response": 3, "sha256": 4}', "\0\0"])
def test_file_that_is_no_response_is_damaged(store: Store, content: str) -> None:
    store.response_path("r").write_text(content)
    assert verify(store).damaged == [store.response_path("r")]


@pytest.mark.parametrize("kind", ["cell", "pairs"])
def test_what_rests_on_another_response_is_damaged(store: Store, kind: str) -> None:
    if kind == "cell":
        store.write_cell(item("r"), "a", cell(OTHER))
        wrong = store.cell_path(item("r"), "a")
    else:
        store.write_pairs(item("r"), block(["a", "b"], OTHER))
        (wrong,) = store.pair_blocks(item("r"))
    store.write_response("t", OTHER, {})  # another prompt got the response that it rests on
    found = verify(store)
    assert found.damaged == [wrong] and found.broken_receipts == [receipt(store)]


def test_cells_that_disagree_are_found_also_where_the_response_is_lost(store: Store) -> None:
    store.response_path("r").unlink()
    store.write_cell(item("r"), "b", cell(OTHER))
    assert verify(store).damaged == [store.cell_path(item("r"), "b")]


def test_another_response_takes_what_rested_on_the_lost_one_with_it(store: Store) -> None:
    store.response_path("r").unlink()
    store.write_cell(item("r"), "b", cell(OTHER))
    store.drop_results(items_on("r"), other_than=OTHER)
    assert store.cells_of(item("r")) == {"b"} and store.pair_blocks(item("r")) == []
    assert store.cells_of(item("s")) == {"c", "d"}


RECEIPTS = ["", '{"cells": ["a"', "[]", '{"cells": 3, "model": "m", "account": {}}', "{}"]


@pytest.mark.parametrize("content", RECEIPTS)
@pytest.mark.parametrize("kind", ["cells", "responses"])
def test_damaged_receipt_stops_nothing_and_is_repaired(
    store: Store, content: str, kind: str
) -> None:
    path = store.receipt_path("x", kind)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    assert "x" not in store.receipts(kind)
    found = verify(store)
    assert found.damaged == [path] and found.broken_receipts == []
    repair(found)
    assert verify(store).bad == 0 and len(store.receipts()) == 1


def test_damaged_description_of_a_model_is_repaired(store: Store) -> None:
    store.write_model("m", {"weight_bytes": 3})
    assert verify(store).bad == 0
    store.model_path("m").write_text('{"weight_')
    with pytest.raises(InputError, match="is damaged"):
        store.read_model("m")
    found = verify(store)
    repair(found)
    assert found.damaged == [store.model_path("m")] and not store.model_path("m").exists()


@pytest.mark.parametrize("age", [0.0, 2 * LEFT_SECONDS])
def test_what_was_left_half_written_is_listed_and_removed_once_it_is_old(
    store: Store, age: float
) -> None:
    left = store.cell_path(item("r"), "a").with_name(".a.safetensors.0123.tmp")
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age,) * 2)
    found = verify(store)
    assert found.temporary == [left] and found.bad == 0
    assert repair(found) == bool(age) and left.exists() == (not age)


def test_file_without_checksums_is_damaged(store: Store) -> None:
    from safetensors.numpy import save_file

    path = store.cell_path(item("r"), "a")
    save_file({"states": np.ones(3)}, path)
    assert verify(store).damaged == [path]


STUDIES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "finished": (lambda f: (f / "run.json").write_text('{"model": {"path": "m"}}'), {"study"}),
    "begun": (lambda f: (f / "logs").mkdir(), {"study"}),
    "of files": (lambda f: (f / "run.json").write_text('{"model": null}'), set()),
    "empty": (lambda f: None, set()),
}


@pytest.mark.parametrize(("make", "found"), STUDIES.values(), ids=STUDIES)
def test_studies_that_rest_on_the_store_are_found(
    store: Store, make: Callable[[Path], object], found: set[str]
) -> None:
    folder = store.root.parent / "study"
    folder.mkdir()
    make(folder)
    assert studies_beside(store) == found


def test_upgraded_cell_keeps_its_vectors(store: Store) -> None:
    bare = replace(cell(), final_hidden_states=None)
    store.write_cell(item("r"), "a", bare)
    states = np.full((3, 4), 7, np.float32)
    store.add_final_hidden_states(item("r"), "a", states)
    read = store.read_cell(item("r"), "a")
    assert np.array_equal(read.final_hidden_states, states)
    assert np.array_equal(read.response_mean, bare.response_mean)
