"""What is computed for a group of prompts: forward passes, what is kept of them, divergences.

Nothing here waits for the GPU: results leave as pending writes, which wait.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import compress

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from persona_geometry.divergence import unchecked_divergences, within_range
from persona_geometry.errors import InputError
from persona_geometry.gpu.stopwatch import Stopwatch
from persona_geometry.gpu.transfer import (
    as_array,
    as_tensor,
    to_device_aside,
    to_host,
    used_here,
)
from persona_geometry.jobs.lacking import Lacking, grouped
from persona_geometry.jobs.pipeline import PendingWrite
from persona_geometry.jobs.task import Account, Settings, Task
from persona_geometry.jobs.texts import persona_name
from persona_geometry.jobs.top_tokens import TopTokensOf
from persona_geometry.model.chat import render, scored_tokens
from persona_geometry.model.forcing import Forced, teacher_force
from persona_geometry.model.loading import LanguageModel
from persona_geometry.model.prompts import check_length, positions_of
from persona_geometry.store.store import (
    DIVERGENCES,
    Cell,
    PairBlock,
    Response,
    Store,
    TopTokens,
    on_another_response,
)

READERS = 8
GROUP_CELLS = 16  # forward passes that fill a GPU
GROUP_BYTES = 1 << 30  # stored states that are read together: 580 cells at 7B and 256 tokens


@dataclass(frozen=True)
class StoredStates:
    """Final hidden states (n, T, d) of stored cells, on the head's device; None for no cell."""

    cells: list[str]
    final_hidden_states: Tensor | None

    def by_cell(self) -> dict[str, Tensor]:
        """Each cell's, for use in the current stream."""
        if self.final_hidden_states is None:
            return {}
        return dict(zip(self.cells, used_here(self.final_hidden_states), strict=True))


@dataclass(frozen=True)
class PendingStates:
    """Final hidden states that are being read from the store.

    Attributes:
        cells: the n cells that are read.
        filled: (n, T, d) host memory that they are read into.
        kept: whether each cell was stored with its states, known when it has been read.
    """

    cells: list[str]
    filled: Tensor
    kept: list[Future[bool]]

    def finish(self, device: torch.device) -> StoredStates:
        """Wait for them, and start copying those that were kept to a device."""
        kept = [one.result() for one in self.kept]
        if not any(kept):
            return StoredStates([], None)
        chosen = self.filled if all(kept) else self.filled[kept]
        return StoredStates(list(compress(self.cells, kept)), to_device_aside(chosen, device))


@dataclass(frozen=True)
class Prepared:
    """What measuring one item needs beside the model.

    Attributes:
        lacking: what is to be measured.
        response: the shared response.
        ids: its scored tokens.
        stored: states of the stored cells that a missing pair or top tokens need.
        rendered: token ids of the prompts to run, by cell.
    """

    lacking: Lacking
    response: Response
    ids: list[int]
    stored: StoredStates
    rendered: dict[str, list[int]]


class GroupScorer:
    """Measures groups of prompts with a loaded model."""

    def __init__(
        self,
        model: LanguageModel,
        settings: Settings,
        store: Store,
        account: Account,
        watch: Stopwatch,
    ) -> None:
        self.model = model
        self.settings = settings
        self.store = store
        self.account = account
        self.watch = watch
        self.positions = positions_of(model.network.config)

    @property
    def most_forced(self) -> int:
        """Forward passes that are worth putting together: one new persona leaves a GPU idle."""
        return GROUP_CELLS if self.model.device.type == "cuda" else 1

    def groups(self, todo: Sequence[Lacking]) -> list[list[Lacking]]:
        """Items that are measured together."""
        values = self.settings.generation.max_new_tokens * self.model.state_size
        most_needed = GROUP_BYTES // (values * self.model.dtype.itemsize)
        keep_states = self.settings.scoring.keep_states
        return list(grouped(todo, keep_states, self.most_forced, most_needed))

    def prepare(self, group: Sequence[Lacking]) -> list[Prepared]:
        """Read and render what measuring some items needs."""
        scoring = self.settings.scoring
        begun: list[tuple[Lacking, Response, list[int], PendingStates]] = []
        with ThreadPoolExecutor(READERS) as readers:
            for lacking in group:
                response = self.store.need_response(lacking.task.response)
                ids = scored_tokens(
                    self.model.tokenizer,
                    response.token_ids,
                    end_of_turn=scoring.end_of_turn,
                    retokenize=scoring.retokenize,
                    template_arguments=self.settings.model.template_arguments,
                )
                begun.append((lacking, response, ids, self._read(lacking, response, ids, readers)))
            return [
                self._ready(lacking, response, ids, pending.finish(self.model.head_device))
                for lacking, response, ids, pending in begun
            ]

    def measure(self, prepared: Sequence[Prepared]) -> list[list[PendingWrite]]:
        """Queue what items lack; the writes that wait for it, a list an item.

        First all forward passes, in one batch where they fit; then, item by item, what is kept of
        them and the divergences.
        """
        forced = self._force(prepared)
        pending = []
        for ready, of_item in zip(prepared, forced, strict=True):
            writes = self._cell_writes(ready, of_item)
            if ready.lacking.needed:
                states = {key: result.final_hidden_states for key, result in of_item.items()}
                writes += self._head_writes(ready, states | ready.stored.by_cell())
            self.account.cells += len(ready.lacking.cells)
            self.account.pairs += len(ready.lacking.pairs)
            pending.append(writes)
        return pending

    def _read(
        self,
        lacking: Lacking,
        response: Response,
        ids: Sequence[int],
        readers: ThreadPoolExecutor,
    ) -> PendingStates:
        """Start reading the states of the stored cells that are needed."""
        cells = lacking.stored
        shape = len(cells), len(ids), self.model.state_size
        filled = torch.empty(shape, dtype=self.model.dtype)

        def fetch(row: int, cell: str) -> bool:
            read, response_sha256 = self.store.read_final_hidden_states(lacking.task.item, cell)
            if response_sha256 != response.sha256:
                raise on_another_response(self.store.cell_path(lacking.task.item, cell))
            if read is not None:
                filled[row] = as_tensor(read)
            return read is not None

        kept = [readers.submit(fetch, row, cell) for row, cell in enumerate(cells)]
        return PendingStates(cells, filled, kept)

    def _ready(
        self, lacking: Lacking, response: Response, ids: list[int], stored: StoredStates
    ) -> Prepared:
        """Render what must be run: cells that are missing, or whose states were not kept."""
        task, model = lacking.task, self.settings.model
        role, arguments = model.system_role, model.template_arguments
        rendered = {
            key: render(self.model.tokenizer, task.cells[key], task.user, role, arguments)
            for key in lacking.forced(keep_states=False)
            if key not in stored.cells
        }
        for key, prompt in rendered.items():
            what = f"{persona_name(task.cells[key])}, with prompt '{task.name}'"
            check_length(what, len(prompt), len(ids), self.positions)
        return Prepared(lacking, response, ids, stored, rendered)

    def _force(self, prepared: Sequence[Prepared]) -> list[dict[str, Forced]]:
        """Run what was rendered, all in one; each item's results by cell."""
        turns = [(prompt, ready.ids) for ready in prepared for prompt in ready.rendered.values()]
        if not turns:
            return [{} for _ in prepared]
        with self.watch.device("force", self.model.device):
            batch_tokens, ablation = self.settings.batch_tokens, self.settings.ablation
            forced = iter(teacher_force(self.model, turns, batch_tokens, ablation))
        return [{key: next(forced) for key in ready.rendered} for ready in prepared]

    def _cell_writes(self, ready: Prepared, forced: dict[str, Forced]) -> list[PendingWrite]:
        """Send what is kept of forward passes off the GPU, in the model's precision.

        Stored cells that had to be run again, for want of their states, get these.
        """
        task, keep_states = ready.lacking.task, self.settings.scoring.keep_states
        new = ready.lacking.cells
        again = [cell for cell in forced if cell not in new] if keep_states else []
        names = ["last_prompt_token", "response_mean"]
        if keep_states:
            names.append("final_hidden_states")
        writes = []
        if new:
            arrived = self._to_host(forced, new, names)
            rest = ready.response.sha256
            writes += [
                PendingWrite(
                    task.name, arrived, partial(_store_cell, self.store, task, cell, row, rest)
                )
                for row, cell in enumerate(new)
            ]
        if again:
            arrived = self._to_host(forced, again, ["final_hidden_states"])
            writes += [
                PendingWrite(task.name, arrived, partial(_add_states, self.store, task, cell, row))
                for row, cell in enumerate(again)
            ]
        return writes

    def _to_host(
        self, forced: dict[str, Forced], cells: Sequence[str], names: Sequence[str]
    ) -> Callable[[], dict[str, Tensor]]:
        stacked = {name: torch.stack([getattr(forced[c], name) for c in cells]) for name in names}
        return to_host({name: tensor.to(self.model.dtype) for name, tensor in stacked.items()})

    def _head_writes(self, ready: Prepared, states: dict[str, Tensor]) -> list[PendingWrite]:
        """Queue what the model's head gives from states (T, d) by cell: divergences, top tokens."""
        lacking, home = ready.lacking, self.model.head_device
        top = TopTokensOf(
            lacking.top_tokens, len(ready.ids), self.settings.scoring.top_tokens, home
        )
        writes = [self._pair_write(ready, states, top)] if len(lacking.pairs) else []
        with self.watch.device("diverge", home), torch.inference_mode():
            for cell in set(top.cells).difference(lacking.paired):
                top.take([cell], 0, self.model.lm_head(states[cell].to(home))[None])
        if top.cells:
            rest = ready.response.sha256
            writes.append(
                PendingWrite(
                    lacking.task.name,
                    to_host(top.tensors),
                    partial(_store_top_tokens, self.store, lacking, rest),
                )
            )
        return writes

    def _pair_write(
        self, ready: Prepared, states: dict[str, Tensor], top: TopTokensOf
    ) -> PendingWrite:
        """Queue the divergences of the missing pairs, and take top tokens from their logits."""
        lacking, home = ready.lacking, self.model.head_device
        places = np.unique(lacking.pairs, return_inverse=True)[1].reshape(-1, 2)
        stacked = torch.stack([states[cell].to(home) for cell in lacking.paired])
        rows = {cell: row for row, cell in enumerate(lacking.paired) if cell in set(top.cells)}

        def logits_of(start: int, stop: int) -> Tensor:
            logits: Tensor = self.model.lm_head(stacked[:, start:stop])
            if len(rows) == len(logits):
                top.take(list(rows), start, logits)
            elif rows:
                top.take(list(rows), start, torch.stack([logits[row] for row in rows.values()]))
            return logits

        with self.watch.device("diverge", home), torch.inference_mode():
            result = unchecked_divergences(
                logits_of,
                len(stacked),
                stacked.shape[1],
                torch.from_numpy(places),
                device=home,
            )
        return PendingWrite(
            lacking.task.name,
            to_host({"divergences": result}),
            partial(_store_pairs, self.store, lacking, places, ready.response.sha256),
        )


def _store_cell(
    store: Store,
    task: Task,
    cell: str,
    row: int,
    response_sha256: str,
    arrived: dict[str, Tensor],
) -> None:
    """Store one row of what arrived of an item's cells."""
    arrays = {name: as_array(tensor[row]) for name, tensor in arrived.items()}
    kept = Cell(
        final_hidden_states=arrays.get("final_hidden_states"),
        last_prompt_token=arrays["last_prompt_token"],
        response_mean=arrays["response_mean"],
        response_sha256=response_sha256,
    )
    store.write_cell(task.item, cell, kept)


def _add_states(store: Store, task: Task, cell: str, row: int, arrived: dict[str, Tensor]) -> None:
    """Give a cell that was stored without its states one row of what arrived."""
    states = as_array(arrived["final_hidden_states"][row])
    store.add_final_hidden_states(task.item, cell, states)


def _store_top_tokens(
    store: Store, lacking: Lacking, response_sha256: str, arrived: dict[str, Tensor]
) -> None:
    """Store the likeliest next tokens of an item's cells."""
    ids, log_probabilities = (arrived[name].numpy() for name in ("ids", "log_probabilities"))
    for row, cell in enumerate(lacking.top_tokens):
        top = TopTokens(ids[row], log_probabilities[row], response_sha256)
        store.write_top_tokens(lacking.task.item, lacking.task.top_tokens[cell], top)


def _store_pairs(
    store: Store,
    lacking: Lacking,
    places: npt.NDArray[np.intp],
    response_sha256: str,
    arrived: dict[str, Tensor],
) -> None:
    """Check an item's divergences and store them."""
    try:
        checked = within_range(arrived["divergences"])
    except (InputError, ArithmeticError) as error:
        raise InputError(f"Prompt '{lacking.task.name}': {error}") from error
    arrays = {name: getattr(checked, name).numpy() for name in DIVERGENCES}
    block = PairBlock(lacking.paired, places, **arrays, response_sha256=response_sha256)
    store.write_pairs(lacking.task.item, block)
