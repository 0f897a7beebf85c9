"""Listing, verifying and pruning the store."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.files import TEMPORARY
from persona_geometry.published import COMPARISONS, read_run
from persona_geometry.store.store import RECEIPTS, Certified, Response, Store, is_whole
from persona_geometry.study.recipes import Item, items_on
from persona_geometry.study.schedule import shard_name

LEFT_SECONDS = 3600.0
"""Age from which a temporary file belongs to no job that still writes it."""


@dataclass
class Findings:
    """What a verification found.

    Attributes:
        checked: files read.
        damaged: files that cannot be read or disagree with their checksum, and cells and pairs
            that were computed on another response than the one stored.
        broken_receipts: receipts that certify a cell or response which is missing or damaged, or
            a cell whose response is.
        without_response: folders of items whose response is missing or damaged. They are kept: if
            the response comes out the same when it is generated again, so does all of them.
        temporary: files that a killed job left half written.
    """

    checked: int = 0
    damaged: list[Path] = field(default_factory=list)
    broken_receipts: list[Path] = field(default_factory=list)
    without_response: list[Path] = field(default_factory=list)
    temporary: list[Path] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return len(self.damaged) + len(self.broken_receipts)


def inventory(store: Store) -> dict[str, tuple[int, int]]:
    """(files, bytes) of each kind of result."""
    kinds = {
        "responses": store.root.glob("responses/*.json"),
        "cells": store.root.glob("items/*/cells/*.safetensors"),
        "pair blocks": store.root.glob("items/*/pairs/*.safetensors"),
        "top tokens": store.root.glob("items/*/top_tokens/*.safetensors"),
        "receipts": store.root.glob("*receipts/*.json"),
        "temporary": store.root.rglob(TEMPORARY),
    }
    counts = {}
    for kind, files in kinds.items():
        sizes = [file.stat().st_size for file in files]
        counts[kind] = (len(sizes), sum(sizes))
    return counts


def verify(store: Store) -> Findings:
    """Read every file against its checksum, and every receipt against the cells and pairs."""
    found = Findings(temporary=sorted(store.root.rglob(TEMPORARY)))
    responses = _check_documents(store, found)
    for path in sorted(store.root.glob("items/*/*/*.safetensors")):
        found.checked += 1
        if not is_whole(path):
            found.damaged.append(path)
    _check_responses(store, responses, found)
    _check_receipts(store, set(responses), found)
    return found


def repair(found: Findings) -> int:
    """Remove what a verification found, so that the next run computes exactly that again.

    Returns:
        How many files were removed. Temporary files younger than LEFT_SECONDS stay.
    """
    now = time.time()
    left = [path for path in found.temporary if now - path.stat().st_mtime > LEFT_SECONDS]
    for path in (doomed := found.damaged + found.broken_receipts + left):
        path.unlink(missing_ok=True)
    return len(doomed)


def studies_beside(store: Store) -> set[str]:
    """Names of the studies whose results lie beside the store and may rest on it."""
    others = store.root, store.root.parent / COMPARISONS
    folders = [path for path in store.root.parent.iterdir() if path.is_dir()]
    return {path.name for path in folders if path not in others and _rests_on_store(path)}


def prune(store: Store, keep: Iterable[Item], dry_run: bool) -> tuple[int, int]:
    """Remove what no given study uses; (files, bytes) removed, or that would be.

    A receipt that loses a part is replaced by one that certifies the rest, so that pruning never
    brings back a GPU job. A block of pairs goes when no pair of it is between kept cells.
    """
    keys_of: dict[str, set[str]] = {}
    responses = set()
    for item in keep:
        keys_of.setdefault(item.key, set()).update(item.keys)
        responses.add(item.response)
    kept_keys: dict[Certified, set[str]] = {
        "cells": {key for keys in keys_of.values() for key in keys},
        "responses": responses,
    }
    doomed = [f for f in store.root.glob("responses/*.json") if f.stem not in responses]
    for path in store.root.glob("items/*/*/*.safetensors"):
        kept = keys_of.get(path.parents[1].name, set())
        if path.parent.name != "pairs":
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


def _check_documents(store: Store, found: Findings) -> dict[str, str]:
    """Read responses, receipts and descriptions of models; whole responses and their hashes."""
    responses = {}
    readers: dict[str, Callable[[str], Any]] = {
        "responses": store.need_response,
        "models": store.read_model,
        RECEIPTS["cells"]: store.read_receipt,
        RECEIPTS["responses"]: partial(store.read_receipt, kind="responses"),
    }
    for folder, read in readers.items():
        for path in sorted(store.root.glob(f"{folder}/*.json")):
            found.checked += 1
            try:
                content = read(path.stem)
            except InputError:
                found.damaged.append(path)
                continue
            if isinstance(content, Response):
                responses[path.stem] = content.sha256
    return responses


def _check_responses(store: Store, responses: Mapping[str, str], found: Findings) -> None:
    """Find cells and pairs that rest on another response than their item's, or on none."""
    expected = {item: sha256 for key, sha256 in responses.items() for item in items_on(key)}
    damaged = set(found.damaged)
    for folder in sorted(store.root.glob("items/*")):
        files = [path for path in sorted(folder.glob("*/*.safetensors")) if path not in damaged]
        if not files:
            continue
        rests = {path: store.response_under(path) for path in files}
        if folder.name in expected:
            right = expected[folder.name]
        else:
            found.without_response.append(folder)
            right = Counter(rests.values()).most_common(1)[0][0]
        found.damaged += [path for path, sha256 in rests.items() if sha256 != right]


def _check_receipts(store: Store, responses: set[str], found: Findings) -> None:
    """Find receipts that certify what is not there, or not whole."""
    damaged = set(found.damaged)
    useless = {folder.name for folder in found.without_response}
    useless |= {path.parents[1].name for path in damaged if path.parent.name == "pairs"}
    item_of, top_tokens = (
        {
            path.stem: path.parents[1].name
            for path in store.root.glob(f"items/*/{kind}/*.safetensors")
            if path not in damaged
        }
        for kind in ("cells", "top_tokens")
    )
    for shard, keys in store.receipts().items():
        by_item: dict[str | None, list[str]] = defaultdict(list)
        for key in keys - top_tokens.keys():
            by_item[item_of.get(key)].append(key)
        if any(top_tokens[key] in useless for key in keys & top_tokens.keys()) or any(
            item is None or item in useless or _lacks(store, item, certified)
            for item, certified in by_item.items()
        ):
            found.broken_receipts.append(store.receipt_path(shard))
    for shard, certified in store.receipts("responses").items():
        if not certified <= responses:
            found.broken_receipts.append(store.receipt_path(shard, "responses"))


def _rests_on_store(study: Path) -> bool:
    """Whether a folder is a study's, but for those whose RDMs both came from files."""
    if not any(study.iterdir()):
        return False
    try:
        return read_run(study / "run.json")["model"] is not None
    except (InputError, KeyError):
        return True


def _lacks(store: Store, item: str, cells: Sequence[str]) -> bool:
    missing_cells, missing_pairs = store.missing(item, cells)
    return bool(missing_cells) or len(missing_pairs) > 0
