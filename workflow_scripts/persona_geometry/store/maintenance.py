"""Listing, verifying and pruning the store."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from persona_geometry.store.store import Certified, Store, is_whole
from persona_geometry.study.recipes import Item
from persona_geometry.study.schedule import shard_name


@dataclass
class Findings:
    """What a verification found.

    Attributes:
        checked: files read.
        damaged: files that cannot be read or disagree with their checksum, or were computed on
            another response than the one stored.
        broken_receipts: receipts that certify a cell or response which is missing or damaged.
    """

    checked: int = 0
    damaged: list[Path] = field(default_factory=list)
    broken_receipts: list[Path] = field(default_factory=list)


def inventory(store: Store) -> dict[str, tuple[int, int]]:
    """(files, bytes) of each kind of result."""
    kinds = {
        "responses": store.root.glob("responses/*.json"),
        "cells": store.root.glob("items/*/cells/*.safetensors"),
        "pair blocks": store.root.glob("items/*/pairs/*.safetensors"),
        "receipts": store.root.glob("*receipts/*.json"),
    }
    counts = {}
    for kind, files in kinds.items():
        sizes = [file.stat().st_size for file in files]
        counts[kind] = (len(sizes), sum(sizes))
    return counts


def verify(store: Store) -> Findings:
    """Read every file against its checksum, and every receipt against the cells and pairs."""
    found = Findings()
    for path in sorted(store.root.glob("responses/*.json")) + sorted(
        store.root.glob("items/*/*/*.safetensors")
    ):
        found.checked += 1
        if not is_whole(path):
            found.damaged.append(path)
    found.damaged += _on_another_response(store, set(found.damaged))
    bad = set(found.damaged)
    item_of_cell = {
        path.stem: path.parents[1].name
        for path in store.root.glob("items/*/cells/*.safetensors")
        if path not in bad
    }
    items_with_bad_pairs = {path.parents[1].name for path in bad if path.parent.name == "pairs"}
    for shard, cells in store.receipts().items():
        by_item: dict[str | None, list[str]] = {}
        for cell in cells:
            by_item.setdefault(item_of_cell.get(cell), []).append(cell)
        whole = None not in by_item and not any(
            item in items_with_bad_pairs or _lacks(store, item, certified)
            for item, certified in by_item.items()
            if item is not None
        )
        if not whole:
            found.broken_receipts.append(store.receipt_path(shard))
    whole_responses = {f.stem for f in store.root.glob("responses/*.json") if f not in bad}
    for shard, responses in store.receipts("responses").items():
        if not responses <= whole_responses:
            found.broken_receipts.append(store.receipt_path(shard, "responses"))
    return found


def repair(found: Findings) -> None:
    """Remove what a verification found, so that the next run computes exactly that again."""
    for path in found.damaged + found.broken_receipts:
        path.unlink(missing_ok=True)


def prune(store: Store, keep: Iterable[Item], dry_run: bool) -> tuple[int, int]:
    """Remove what no given study uses; (files, bytes) removed, or that would be.

    A receipt that loses a part is replaced by one that certifies the rest, so that pruning never
    brings back a GPU job. A block of pairs goes when no pair of it is between kept cells.
    """
    cells_of: dict[str, set[str]] = {}
    responses = set()
    for item in keep:
        cells_of.setdefault(item.key, set()).update(item.cells.values())
        responses.add(item.response)
    kept_keys: dict[Certified, set[str]] = {
        "cells": {cell for cells in cells_of.values() for cell in cells},
        "responses": responses,
    }
    doomed = [f for f in store.root.glob("responses/*.json") if f.stem not in responses]
    for path in store.root.glob("items/*/*/*.safetensors"):
        kept = cells_of.get(path.parents[1].name, set())
        if path.parent.name == "cells":
            unused = path.stem not in kept
        else:
            block = store.read_pairs(path)
            used = np.array([cell in kept for cell in block.cells])[block.pairs]
            unused = not used.all(1).any()
        if unused:
            doomed.append(path)
    shrunk = {
        (shard, kind): keys & kept
        for kind, kept in kept_keys.items()
        for shard, keys in store.receipts(kind).items()
        if not keys <= kept
    }
    doomed += [store.receipt_path(shard, kind) for shard, kind in shrunk]
    size = sum(path.stat().st_size for path in doomed)
    if not dry_run:
        for (shard, kind), keys in shrunk.items():
            if keys:
                receipt = store.read_receipt(shard, kind)
                store.write_receipt(shard_name(keys), replace(receipt, keys=keys), kind)
        for path in doomed:
            path.unlink()
    return len(doomed), size


def _lacks(store: Store, item: str, cells: Sequence[str]) -> bool:
    missing_cells, missing_pairs = store.missing(item, cells)
    return bool(missing_cells) or len(missing_pairs) > 0


def _on_another_response(store: Store, damaged: set[Path]) -> list[Path]:
    """Cells and pairs of an item that do not agree on the response they were computed on."""
    wrong = []
    responses = {}
    for file in store.root.glob("responses/*.json"):
        if file not in damaged:
            responses[json.loads(file.read_bytes())["sha256"]] = file
    for path in sorted(store.root.glob("items/*/*/*.safetensors")):
        if path in damaged:
            continue
        if path.parent.name == "cells":
            sha256 = store.read_cell(
                path.parents[1].name, path.stem, with_states=False
            ).response_sha256
        else:
            sha256 = store.read_pairs(path).response_sha256
        if sha256 not in responses:
            wrong.append(path)
    return wrong
