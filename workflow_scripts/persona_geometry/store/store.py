"""The content-addressed store: results that are never computed twice.

    store/responses/{response}.json            a shared response: token ids and text
    store/items/{item}/cells/{cell}.safetensors  hidden states and layer vectors of one persona
    store/items/{item}/pairs/{block}.safetensors divergences of a block of persona pairs
    store/items/{item}/top_tokens/{key}.safetensors  likeliest next tokens of one persona
    store/receipts/{shard}.json                cells that a finished GPU job certifies
    store/response_receipts/{shard}.json       responses that a finished job certifies
    store/models/                              facts about models

Every file is written beside its place and renamed into it, so a file that exists is whole, and
carries a checksum, so that damage is found. Reading needs no torch.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from persona_geometry.errors import InputError
from persona_geometry.files import write_atomically, write_json
from persona_geometry.store.packing import pack, unpack

DIVERGENCES = ("js", "kl_pq", "kl_qp")
RECEIPTS = {"cells": "receipts", "responses": "response_receipts"}
KINDS = ("cells", "pairs")
Certified = Literal["cells", "responses"]

REPAIR = (
    "run 'python workflow_scripts/manage_store.py verify --repair' and then the workflow again."
)
"""The remedy that ends every sentence about a store that does not hold what it should."""


@dataclass(frozen=True)
class Response:
    """A shared response.

    Attributes:
        token_ids: the tokens as generated, the end-of-turn token included where there is one.
        text: the same, decoded without special tokens.
        finish_reason: "stop" where the model ended its turn, "length" where it was cut.
    """

    token_ids: list[int]
    text: str
    finish_reason: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.token_ids).encode()).hexdigest()


@dataclass(frozen=True)
class Cell:
    """What is kept of one persona on one response of T tokens.

    Arrays are float32, or bfloat16, which NumPy does not know, as uint16 bit patterns;
    `packing.as_float32` reads both.

    Attributes:
        final_hidden_states: (T, d) inputs of the model's head at the positions that predict the
            response tokens, or None where the study keeps none; "states" in the file.
        last_prompt_token: (L, d) output of every decoder block at the last prompt token.
        response_mean: (L, d) output of every decoder block, mean over the response tokens.
        response_sha256: hash of the response it was computed on.
    """

    final_hidden_states: np.ndarray | None
    last_prompt_token: np.ndarray
    response_mean: np.ndarray
    response_sha256: str


@dataclass(frozen=True)
class PairBlock:
    """Divergences of some pairs among the cells of one item, in nats per response token.

    Attributes:
        cells: keys of the cells that are paired.
        pairs: (n_pairs, 2) integers, the places in `cells` of each pair's first and second.
        js, kl_pq, kl_qp: (n_pairs, T) float32; kl_pq is KL(first‖second).
        response_sha256: hash of the response they were computed on.
    """

    cells: list[str]
    pairs: np.ndarray
    js: np.ndarray
    kl_pq: np.ndarray
    kl_qp: np.ndarray
    response_sha256: str


@dataclass(frozen=True)
class TopTokens:
    """The k likeliest next tokens of one cell at each of T response tokens, likeliest first.

    Attributes:
        ids: (T, k) int32 token ids.
        log_probabilities: (T, k) float16, in nats, of the whole vocabulary's softmax.
        response_sha256: hash of the response they were computed on.
    """

    ids: np.ndarray
    log_probabilities: np.ndarray
    response_sha256: str


@dataclass(frozen=True)
class Receipt:
    """What a finished GPU job certifies.

    Attributes:
        keys: of cells, with every pair among those of one prompt, and of their top tokens; or of
            responses.
        model: key of the model as it was run.
        account: what the job did: counts, seconds a stage, device, peak memory, versions.
    """

    keys: frozenset[str]
    model: str
    account: dict[str, Any]


class Store:
    """A folder of results, named by their recipes' keys."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    # Responses

    def response_path(self, key: str) -> Path:
        return self.root / "responses" / f"{key}.json"

    def read_response(self, key: str) -> Response | None:
        path = self.response_path(key)
        if not path.is_file():
            return None
        content = _read_object(path)
        try:
            response = Response(**content["response"])
        except (KeyError, TypeError) as error:
            raise _damaged(path) from error
        if content.get("sha256") != response.sha256:
            raise _damaged(path)
        return response

    def need_response(self, key: str) -> Response:
        """A response that a receipt certifies.

        Raises:
            InputError: it is not there, or damaged.
        """
        response = self.read_response(key)
        if response is None:
            raise _missing(self.response_path(key))
        return response

    def write_response(self, key: str, response: Response, recipe: Mapping[str, Any]) -> None:
        content = {"response": vars(response), "sha256": response.sha256, "recipe": dict(recipe)}
        text = json.dumps(content, ensure_ascii=False, indent=1)
        write_atomically(self.response_path(key), text.encode())

    # Cells

    def cell_path(self, item: str, cell: str) -> Path:
        return self.root / "items" / item / "cells" / f"{cell}.safetensors"

    def cells_of(self, item: str) -> set[str]:
        """Keys of the cells stored for an item."""
        return {path.stem for path in _finished(self.root / "items" / item / "cells")}

    def read_cell(self, item: str, cell: str, with_states: bool = True) -> Cell:
        """Read a cell as it was written, without its states if none are wanted."""
        path = self.cell_path(item, cell)
        arrays, meta = _read(path, () if with_states else ("states",))
        decoded = {name: _decoded(array, meta[name]) for name, array in arrays.items()}
        return Cell(
            final_hidden_states=decoded.get("states"),
            last_prompt_token=decoded["last_prompt_token"],
            response_mean=decoded["response_mean"],
            response_sha256=meta["response_sha256"],
        )

    def read_final_hidden_states(self, item: str, cell: str) -> tuple[np.ndarray | None, str]:
        """A cell's final hidden states alone, and the hash of the response they rest on."""
        arrays, meta = _read(self.cell_path(item, cell), ("last_prompt_token", "response_mean"))
        states = _decoded(arrays["states"], meta["states"]) if arrays else None
        return states, meta["response_sha256"]

    def write_cell(self, item: str, key: str, cell: Cell) -> None:
        named = {
            "last_prompt_token": cell.last_prompt_token,
            "response_mean": cell.response_mean,
        }
        if cell.final_hidden_states is not None:
            named["states"] = cell.final_hidden_states
        meta = {name: json.dumps([_dtype(a), *a.shape]) for name, a in named.items()}
        arrays = {name: pack(a) if a.dtype == np.uint16 else a for name, a in named.items()}
        _write(self.cell_path(item, key), arrays, {**meta, "response_sha256": cell.response_sha256})

    def add_final_hidden_states(self, item: str, key: str, states: np.ndarray) -> None:
        """Give a cell that was stored without its states these, and leave the rest as it is."""
        stored = self.read_cell(item, key, with_states=False)
        self.write_cell(item, key, replace(stored, final_hidden_states=states))

    # Pairs

    def pair_blocks(self, item: str) -> list[Path]:
        return sorted(_finished(self.root / "items" / item / "pairs"))

    def read_pairs(self, path: Path) -> PairBlock:
        arrays, meta = _read(path)
        named = {name: arrays[name] for name in (*DIVERGENCES, "pairs")}
        return PairBlock(
            cells=json.loads(meta["cells"]), **named, response_sha256=meta["response_sha256"]
        )

    def write_pairs(self, item: str, block: PairBlock) -> None:
        arrays = {name: getattr(block, name) for name in DIVERGENCES}
        arrays["pairs"] = block.pairs.astype(np.int32)
        meta = {"cells": json.dumps(block.cells), "response_sha256": block.response_sha256}
        name = hashlib.sha256(meta["cells"].encode() + arrays["pairs"].tobytes()).hexdigest()[:20]
        _write(self.root / "items" / item / "pairs" / f"{name}.safetensors", arrays, meta)

    # Top tokens

    def top_tokens_path(self, item: str, key: str) -> Path:
        return self.root / "items" / item / "top_tokens" / f"{key}.safetensors"

    def read_top_tokens(self, item: str, key: str) -> TopTokens:
        """Read the likeliest next tokens of a cell.

        Raises:
            InputError: they are not there, or damaged.
        """
        arrays, meta = _read(self.top_tokens_path(item, key))
        return TopTokens(**arrays, response_sha256=meta["response_sha256"])

    def write_top_tokens(self, item: str, key: str, top: TopTokens) -> None:
        arrays = {"ids": top.ids, "log_probabilities": top.log_probabilities}
        meta = {"response_sha256": top.response_sha256}
        _write(self.top_tokens_path(item, key), arrays, meta)

    # What cells and pairs rest on

    def response_under(self, path: Path) -> str:
        """Hash of the response that a stored cell or block of pairs was computed on."""
        return _read_metadata(path)["response_sha256"]

    def drop_results(self, items: Iterable[str], other_than: Response) -> None:
        """Remove what items hold that was computed on another response than the given one."""
        for item in items:
            for path in (self.root / "items" / item).glob("*/*.safetensors"):
                if self.response_under(path) != other_than.sha256:
                    path.unlink()

    # Receipts

    def receipt_path(self, shard: str, kind: Certified = "cells") -> Path:
        """The receipt of a shard of cells or, with kind "responses", of responses."""
        return self.root / RECEIPTS[kind] / f"{shard}.json"

    def write_receipt(self, shard: str, receipt: Receipt, kind: Certified = "cells") -> None:
        content = {"model": receipt.model, kind: sorted(receipt.keys), "account": receipt.account}
        write_json(self.receipt_path(shard, kind), content)

    def certifies(self, shard: str, keys: frozenset[str], kind: Certified = "cells") -> bool:
        """Whether a shard's receipt is there, whole, and certifies these keys."""
        try:
            return keys <= self.read_receipt(shard, kind).keys
        except InputError:
            return False

    def read_receipt(self, shard: str, kind: Certified = "cells") -> Receipt:
        """Read a receipt.

        Raises:
            InputError: it is not there, or damaged.
        """
        return read_receipt(self.receipt_path(shard, kind))

    def receipts(self, kind: Certified = "cells") -> dict[str, frozenset[str]]:
        """Shard to certified cells or responses, the oldest receipt first.

        A damaged receipt certifies nothing.
        """
        files = sorted(
            self.root.glob(f"{RECEIPTS[kind]}/*.json"),
            key=lambda f: (f.stat().st_mtime_ns, f.name),
        )
        certified = {}
        for file in files:
            with contextlib.suppress(InputError, KeyError, TypeError):
                certified[file.stem] = _certified(_read_object(file), kind)
        return certified

    # Models

    @property
    def models(self) -> Path:
        """Folder of what is known of models: descriptions, fingerprints, unpacked checkpoints."""
        return self.root / "models"

    def model_path(self, key: str) -> Path:
        return self.models / f"{key}.json"

    def write_model(self, key: str, description: Mapping[str, Any]) -> None:
        """Keep what `describe_model` found."""
        write_json(self.model_path(key), description, indent=1)

    def read_model(self, key: str) -> dict[str, Any]:
        """Read a model's description.

        Raises:
            FileNotFoundError: the model is not resolved yet.
            InputError: it is damaged.
        """
        return _read_object(self.model_path(key))

    # Another user's

    def check_writable(self, items: Iterable[str]) -> None:
        """Check that this user may add results of these items, before they are computed.

        Raises:
            InputError: a folder belongs to another user, who does not let this one write.
        """
        folders = [self.root / name for name in ("responses", "models", *RECEIPTS.values())]
        kinds = (*KINDS, "top_tokens")
        folders += [self.root / "items" / item / kind for item in items for kind in kinds]
        for folder in folders:
            there = next(filter(os.path.exists, (folder, *folder.parents)))
            if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
                raise InputError(
                    f"{there} belongs to {_owner(there)}, and you may not write in it: let its "
                    f"owner run 'chmod -R g+rwX {self.root.resolve()}' and work under umask 002, "
                    f"in a group that you share, or keep a store of your own."
                )

    # What is missing

    def missing(self, item: str, cells: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """What an item still lacks of the given cells and of the pairs among them.

        Returns:
            The keys of the cells, and the pairs as (n, 2) places in `cells`, the lower first.
        """
        stored = self.cells_of(item)
        lacking = np.triu(np.ones((len(cells), len(cells)), dtype=bool), 1)
        place = {cell: i for i, cell in enumerate(cells)}
        for path in self.pair_blocks(item):
            names, pairs = _pairs_in(path)
            places = np.array([place.get(name, -1) for name in names])[pairs]
            low, high = np.sort(places[(places >= 0).all(1)], axis=1).T
            lacking[low, high] = False
        return [cell for cell in cells if cell not in stored], np.argwhere(lacking)

    def missing_top_tokens(self, item: str, keys: Mapping[str, str]) -> list[str]:
        """The cells of an item whose top tokens it lacks, of the given keys by cell."""
        stored = {path.stem for path in _finished(self.root / "items" / item / "top_tokens")}
        return [cell for cell, key in keys.items() if key not in stored]


def read_receipt(path: str | Path) -> Receipt:
    """Read a receipt of cells or of responses, which its folder tells.

    Raises:
        InputError: it is not there, or damaged.
    """
    path = Path(path)
    kind: Certified = "cells" if path.parent.name == RECEIPTS["cells"] else "responses"
    if not path.is_file():
        raise _missing(path)
    content = _read_object(path)
    try:
        return Receipt(_certified(content, kind), content["model"], content["account"])
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error


def _dtype(array: np.ndarray) -> str:
    return "bfloat16" if array.dtype == np.uint16 else str(array.dtype)


def _decoded(array: np.ndarray, form: str) -> np.ndarray:
    dtype, *shape = json.loads(form)
    return unpack(array, tuple(shape)) if dtype == "bfloat16" else array


def _checksum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _write(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, str]) -> None:
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    checksums = {f"sha256.{name}": _checksum(array) for name, array in whole.items()}
    write_atomically(path, save(whole, {**meta, **checksums}))


def _read(path: Path, skip: Iterable[str] = ()) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read arrays and metadata; what is read is checked against its checksum."""
    try:
        with safe_open(path, framework="numpy") as stream:
            arrays = {name: stream.get_tensor(name) for name in stream.keys() if name not in skip}
            meta = stream.metadata() or {}
    except FileNotFoundError:
        raise _missing(path) from None
    except SafetensorError as error:
        raise _damaged(path) from error
    if any(meta.get(f"sha256.{name}") != _checksum(array) for name, array in arrays.items()):
        raise _damaged(path)
    return arrays, meta


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(content, dict):
        raise _damaged(path)
    return content


def _certified(content: Mapping[str, Any], kind: Certified) -> frozenset[str]:
    if not isinstance(content[kind], list):
        raise TypeError(f"{kind} are not listed")
    return frozenset(content[kind])


def _read_metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as stream:
            return stream.metadata() or {}
    except SafetensorError as error:
        raise _damaged(path) from error


def _pairs_in(path: Path) -> tuple[list[str], np.ndarray]:
    """The cells of a block and the pairs of them, without reading the rest of it."""
    try:
        with safe_open(path, framework="numpy") as stream:
            return json.loads(stream.metadata()["cells"]), stream.get_tensor("pairs")
    except SafetensorError as error:
        raise _damaged(path) from error


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def _finished(folder: Path) -> list[Path]:
    """The stored files in a folder, which need not exist."""
    if not folder.is_dir():
        return []
    return [folder / name for name in os.listdir(folder) if name.endswith(".safetensors")]


def _missing(path: Path) -> InputError:
    return InputError(f"{path} is missing although a receipt certifies it; {REPAIR}")


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged; {REPAIR}")


def on_another_response(path: Path) -> InputError:
    """The error for a cell or pairs that were not computed on the stored response."""
    return InputError(f"{path} was computed on another response than the one stored; {REPAIR}")


def is_whole(path: Path) -> bool:
    """Whether a cell or a block of pairs can be read and agrees with its checksum."""
    try:
        meta = _read(path)[1]
    except InputError:
        return False
    return "response_sha256" in meta
