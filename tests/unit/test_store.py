"""The store: whole files or none, exact round trips, and damage found."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from persona_geometry import files
from persona_geometry.errors import InputError
from persona_geometry.store import packing
from persona_geometry.store.maintenance import prune, repair, verify
from persona_geometry.store.store import Cell, PairBlock, Receipt, Response, Store, TopTokens
from persona_geometry.study.recipes import Item, items_on
from persona_geometry.study.schedule import shard_cells, shard_name
from persona_geometry.study.tables import Prompt

RESPONSE = Response([3, 1, 4], "pi", "stop")
ITEM = items_on("r")[0]


def cell(seed: int) -> Cell:
    values = np.random.default_rng(seed).standard_normal((4, 6)).astype(np.float32)
    return Cell(values, values[:2], values[2:], RESPONSE.sha256)


def block(*pairs: tuple[str, str]) -> PairBlock:
    values = np.arange(3 * len(pairs), dtype=np.float32).reshape(len(pairs), 3)
    cells = sorted({cell for pair in pairs for cell in pair})
    places = np.array([[cells.index(cell) for cell in pair] for pair in pairs])
    return PairBlock(cells, places, values, values + 1, values + 2, RESPONSE.sha256)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.write_response("r", RESPONSE, {"user": "pi?"})
    for i, key in enumerate("abc"):
        store.write_cell(ITEM, key, cell(i))
    store.write_pairs(ITEM, block(("a", "b"), ("a", "c"), ("b", "c")))
    return store


def test_round_trips(store: Store) -> None:
    assert store.read_response("r") == RESPONSE
    assert store.read_response("other") is None
    read = store.read_cell(ITEM, "b")
    assert np.array_equal(read.final_hidden_states, cell(1).final_hidden_states)
    assert store.read_cell(ITEM, "b", with_states=False).final_hidden_states is None
    states, response = store.read_final_hidden_states(ITEM, "b")
    assert np.array_equal(states, read.final_hidden_states) and response == RESPONSE.sha256
    pairs = store.read_pairs(store.pair_blocks(ITEM)[0])
    assert pairs.cells == ["a", "b", "c"] and pairs.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert np.array_equal(pairs.kl_qp, block(("a", "b"), ("a", "c"), ("b", "c")).kl_qp)


def test_bfloat16_is_kept_as_bits(store: Store) -> None:
    import torch

    from persona_geometry.gpu.transfer import as_array, as_tensor

    values = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    bits = as_array(values)
    store.write_cell(ITEM, "bits", Cell(bits, bits[:2], bits[2:], RESPONSE.sha256))
    read = store.read_cell(ITEM, "bits").final_hidden_states
    assert torch.equal(as_tensor(read), values)
    assert np.array_equal(packing.as_float32(read), values.float().numpy())


@given(data=st.data(), upper_bytes=st.sets(st.integers(0, 255), min_size=1, max_size=20))
def test_packing_gives_back_every_bit(data: st.DataObject, upper_bytes: set[int]) -> None:
    """Arrays of any shape, with few different upper bytes (as in hidden states) or too many."""
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9))
    upper = data.draw(arrays(np.uint16, shape, elements=st.sampled_from(sorted(upper_bytes))))
    lower = data.draw(arrays(np.uint16, shape, elements=st.integers(0, 255)))
    bits = upper << 8 | lower
    packed = packing.pack(bits)
    unpacked = packing.unpack(packed, shape)
    assert unpacked.dtype == np.uint16 and np.array_equal(unpacked, bits)
    if len(upper_bytes) <= packing.CODES:
        assert packed.size <= 1.5 * bits.size + packing.CODES + 1


def test_missing_counts_cells_and_pairs(store: Store) -> None:
    def missing(item: str, cells: str) -> tuple[list[str], list[list[int]]]:
        lacking, pairs = store.missing(item, list(cells))
        return lacking, pairs.tolist()

    assert missing(ITEM, "abc") == ([], [])
    assert missing(ITEM, "bda") == (["d"], [[0, 1], [1, 2]])
    assert missing("new", "ab") == (["a", "b"], [[0, 1]])
    assert missing(ITEM, "") == ([], [])


def test_failed_write_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    before = sorted(store.root.rglob("*"))
    with pytest.raises(OSError, match="No space"):
        store.write_response("s", RESPONSE, {})
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("kind", ["cells/a.safetensors", "pairs/*.safetensors"])
def test_flipped_bit_is_found_and_repair_removes_the_receipt(store: Store, kind: str) -> None:
    store.write_receipt("s", Receipt(frozenset("abc"), "model", {}))
    assert not verify(store).damaged and not verify(store).broken_receipts
    path = next((store.root / "items" / ITEM).glob(kind))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is damaged"):
        store.read_pairs(path) if "pairs" in kind else store.read_cell(ITEM, "a")
    found = verify(store)
    assert found.damaged == [path] and found.broken_receipts == [store.receipt_path("s")]
    repair(found)
    assert verify(store).damaged == [] and not store.receipts()


def keep_top_tokens(store: Store, keys: str) -> None:
    """Top tokens of cells, under the cells' keys in upper case, and a receipt of all."""
    for key in keys:
        ids = np.arange(6, dtype=np.int32).reshape(3, 2)
        top = TopTokens(ids, -ids.astype(np.float16), RESPONSE.sha256)
        store.write_top_tokens(ITEM, key.upper(), top)
    store.write_receipt("t", Receipt(frozenset(keys + keys.upper()), "model", {}))


def test_damaged_or_missing_top_tokens_break_their_receipt_alone(store: Store) -> None:
    keep_top_tokens(store, "ab")
    store.write_receipt("s", Receipt(frozenset("ab"), "model", {}))
    assert verify(store).bad == 0
    path = store.top_tokens_path(ITEM, "A")
    path.write_bytes(path.read_bytes()[:-1])
    found = verify(store)
    assert (found.damaged, found.broken_receipts) == ([path], [store.receipt_path("t")])
    repair(found)
    assert verify(store).bad == 0 and set(store.receipts()) == {"s"}
    assert store.missing_top_tokens(ITEM, {"a": "A", "b": "B"}) == ["a"]
    with pytest.raises(InputError, match="is missing although a receipt"):
        store.read_top_tokens(ITEM, "A")


def test_prune_keeps_the_top_tokens_that_a_study_asks_for(store: Store) -> None:
    keep_top_tokens(store, "ab")
    item = Item(Prompt("q", "pi?"), ITEM, "r", {"A": "a", "B": "b"})
    asked = replace(item, top_tokens={"A": "A", "B": "B"})
    prune(store, [asked], dry_run=False)
    assert store.missing_top_tokens(ITEM, {"a": "A", "b": "B"}) == []
    assert shard_cells([asked], 1, store.receipts()).planned == {}
    prune(store, [item], dry_run=False)
    assert store.missing_top_tokens(ITEM, {"a": "A", "b": "B"}) == ["a", "b"]
    assert shard_cells([item], 1, store.receipts()).planned == {} and verify(store).bad == 0


def test_truncated_file_is_refused_in_one_sentence(store: Store) -> None:
    path = store.cell_path(ITEM, "a")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="is damaged; run"):
        store.read_cell(ITEM, "a")
    with pytest.raises(InputError, match="is missing although a receipt"):
        store.read_cell(ITEM, "nothing")


def test_prune_keeps_what_a_study_uses_and_never_brings_back_a_gpu_job(store: Store) -> None:
    name = shard_name(["a", "b", "c"])
    store.write_receipt(name, Receipt(frozenset("abc"), "model", {"cells": 3}))
    store.write_response("unused", Response([9], "x", "stop"), {})
    item = Item(Prompt("q", "pi?"), ITEM, "r", {"A": "a", "B": "b"})
    count, _ = prune(store, [item], dry_run=True)
    assert count == 3 and store.cells_of(ITEM) == {"a", "b", "c"}
    prune(store, [item], dry_run=False)
    assert store.cells_of(ITEM) == {"a", "b"}
    assert [len(part) for part in store.missing(ITEM, ["a", "b"])] == [0, 0]
    assert shard_cells([item], 1, store.receipts()).planned == {}
    left = store.read_receipt(shard_name(["a", "b"]))
    assert left == Receipt(frozenset("ab"), "model", {"cells": 3})
    grown = Item(item.prompt, ITEM, "r", {"A": "a", "B": "b", "C": "c"})
    assert list(shard_cells([grown], 1, store.receipts()).planned) == [name]


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """Root becomes nobody for a while; others are already not root, whom no mode stops."""
    user = os.geteuid()
    os.seteuid(65_534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_written_is_named_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, old = Store("store"), tmp_path / "store" / "items" / "old"
    for kind in ("cells", "pairs", "top_tokens"):
        (old / kind).mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.glob("store/**")):
        folder.chmod(0o777)
    with as_another_user():
        store.check_writable(["old", "new"])
    for closed in old.iterdir():
        closed.chmod(0o555)
        expected = f"store/items/old/{closed.name} belongs to {closed.owner()}, .*umask 002"
        with as_another_user():
            store.check_writable(["new"])
            with pytest.raises(InputError, match=expected):
                store.check_writable(["old"])
        closed.chmod(0o777)
