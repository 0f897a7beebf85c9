"""The work of one GPU job: a shard of prompts, with the model loaded once.

Whatever the store already holds is not computed again; if it holds everything, no model is
loaded. Each result is stored as soon as it exists: a killed job loses what is being computed and
what is on its way from the GPU to the store, which is a second's work of a GPU that is kept busy.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.gpu import kernels
from persona_geometry.gpu.stopwatch import Stopwatch
from persona_geometry.jobs.task import Account, Settings, Task
from persona_geometry.report.run_record import package_versions
from persona_geometry.store.store import DIVERGENCES, Cell, PairBlock, Response, Store

if TYPE_CHECKING:
    import torch

    from persona_geometry.model.forcing import Forced
    from persona_geometry.model.loading import LanguageModel

WRITERS = 8
AHEAD = 2
GROUP_CELLS = 16  # forward passes that fill a GPU
GROUP_BYTES = 1 << 30  # stored states that are read together: 580 cells at 7B and 256 tokens


@dataclass(frozen=True)
class _Lacking:
    """What the store lacks of one item.

    Attributes:
        task: the item's recipe.
        cells: keys of the missing cells.
        pairs: (n, 2) places in the task's cells of the missing pairs.
    """

    task: Task
    cells: list[str]
    pairs: np.ndarray

    @cached_property
    def paired(self) -> list[str]:
        """The cells that occur in a missing pair, in the task's order."""
        keys = list(self.task.cells)
        return [keys[place] for place in np.unique(self.pairs)]


@dataclass(frozen=True)
class _Prepared:
    """What measuring one item needs beside the model.

    Attributes:
        response: the shared response.
        ids: its scored tokens.
        stored: cells whose states were kept, and those states (n, T, d).
        rendered: token ids of the prompts to run, by cell.
    """

    response: Response
    ids: list[int]
    stored: "tuple[list[str], torch.Tensor | None]"
    rendered: dict[str, list[int]]


class ShardJob:
    """Computes what a shard's items lack."""

    def __init__(
        self, settings: Settings, store: Store, report: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.store = store
        self.report = report
        self.account = Account()
        self.watch = Stopwatch(self.account.seconds)

    @cached_property
    def model(self) -> "LanguageModel":
        """The model, loaded when the first missing result needs it."""
        from persona_geometry.model.loading import load_model

        with self.watch.program("load"):
            model = load_model(self.settings.model, self.settings.device)
        slow = kernels.lacking() if model.device.type == "cuda" else ""
        self.report(
            f"model loaded in {self.account.seconds['load']:.1f} s on {model.device}"
            + (
                f"; without fused kernels, which takes several times as long: {slow}"
                if slow
                else ""
            )
        )
        return model

    def run(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Compute and store what is missing; return the receipt's content."""
        lacking = [_Lacking(t, *self.store.missing(t.item, list(t.cells))) for t in tasks]
        todo = [one for one in lacking if one.cells or len(one.pairs)]
        self.report(
            f"{len(tasks)} prompts: {sum(len(one.cells) for one in todo)} cells and "
            f"{sum(len(one.pairs) for one in todo)} pairs to compute"
        )
        if todo:
            self.generate([one.task for one in todo])
            self._score(todo)
            self._note_device()
        return {
            "cells": sorted(cell for task in tasks for cell in task.cells),
            "account": asdict(self.account),
        }

    def _score(self, todo: Sequence[_Lacking]) -> None:
        """Measure items; the GPU computes some while the last are stored and the next are read."""
        started = time.perf_counter()
        groups = list(self._grouped(todo))
        unfinished: deque[list[tuple[str, list[Future]]]] = deque()
        done = 0

        def finish_first() -> None:
            nonlocal done
            for name, writes in unfinished.popleft():
                for write in writes:
                    write.result()
                done += 1
                elapsed = time.perf_counter() - started
                self.report(
                    f"{done} of {len(todo)} prompts scored ({name}), {elapsed / done:.2f} s a "
                    f"prompt, {elapsed / done * (len(todo) - done):.0f} s left"
                )

        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(WRITERS) as writers:
            coming = reader.submit(self._prepare, groups[0])
            for following, group in enumerate(groups, start=1):
                prepared = coming.result()
                if following < len(groups):
                    coming = reader.submit(self._prepare, groups[following])
                writes = self._measure(group, prepared)
                unfinished.append(
                    [
                        (lacking.task.name, [writers.submit(write) for write in of_item])
                        for lacking, of_item in zip(group, writes, strict=True)
                    ]
                )
                if len(unfinished) > AHEAD:
                    finish_first()
            while unfinished:
                finish_first()

    def _grouped(self, todo: Sequence[_Lacking]) -> Iterator[list[_Lacking]]:
        """Items whose forward passes make one batch: one new persona alone leaves a GPU idle."""
        from persona_geometry.model.loading import hidden_size

        fill = self._cells_a_group()
        values = self.settings.generation.max_new_tokens * hidden_size(self.model.network)
        most_paired = GROUP_BYTES // (values * self.model.dtype.itemsize)
        keeps = self.settings.scoring.keep_states
        group: list[_Lacking] = []
        new = paired = 0
        for lacking in todo:
            n_paired = len(lacking.paired)
            n_new = len(lacking.cells) if keeps else n_paired
            if group and (new + n_new > fill or paired + n_paired > most_paired):
                yield group
                group, new, paired = [], 0, 0
            group.append(lacking)
            new, paired = new + n_new, paired + n_paired
        yield group

    def _cells_a_group(self) -> int:
        return GROUP_CELLS if self.model.device.type == "cuda" else 1

    def generate(self, tasks: Sequence[Task]) -> None:
        """Generate and store the responses that the store lacks."""
        lacking = [task for task in tasks if self.store.read_response(task.response) is None]
        if not lacking:
            return
        from persona_geometry.model.generation.transformers_backend import generate

        if self.settings.generation.backend != "transformers":
            raise InputError(
                f"The response to prompt '{lacking[0].name}' is not in the store, although a "
                f"receipt certifies it; run 'python workflow_scripts/manage_store.py verify "
                f"--repair' and then the workflow again."
            )
        prompts = [self._rendered(self.settings.response_system_prompt, t.user) for t in lacking]
        limit = self.settings.generation.max_new_tokens

        def save(index: int, response: Response) -> None:
            store_response(self.store, lacking[index], response, self.settings)
            self.account.responses += 1
            self.report(f"{self.account.responses} of {len(lacking)} responses generated")

        model = self.model
        with self.watch.program("generate"):
            generate(model, prompts, limit, save)

    def _prepare(self, group: Sequence[_Lacking]) -> list[_Prepared]:
        """Read and render what measuring some items needs."""
        from persona_geometry.model.chat import scored_tokens

        scoring, tokenizer = self.settings.scoring, self.model.tokenizer
        begun, prepared = [], []
        with ThreadPoolExecutor(WRITERS) as readers:
            for lacking in group:
                response = self.store.need_response(lacking.task.response)
                ids = scored_tokens(
                    tokenizer,
                    response.token_ids,
                    end_of_turn=scoring.end_of_turn,
                    retokenize=scoring.retokenize,
                )
                states = self._read_states(lacking, response, len(ids), readers)
                begun.append((lacking, response, ids, states))
            for lacking, response, ids, states in begun:
                stored = states()
                task, to_force = lacking.task, dict.fromkeys([*lacking.cells, *lacking.paired])
                rendered = {
                    key: self._rendered(task.cells[key], task.user)
                    for key in to_force
                    if key not in stored[0]
                }
                prepared.append(_Prepared(response, ids, stored, rendered))
        return prepared

    def _measure(
        self, group: Sequence[_Lacking], prepared: Sequence[_Prepared]
    ) -> Iterator[list[Callable[[], None]]]:
        """Start computing what items lack; yield the writes that wait for each and store it."""
        from persona_geometry.gpu.transfer import used_here

        everything = zip(group, prepared, self._force(prepared), strict=True)
        for lacking, ready, forced in everything:
            writes = self._cell_writes(lacking, forced, ready.response)
            if len(lacking.pairs):
                keys, stored = ready.stored
                states = {key: result.states for key, result in forced.items()}
                if stored is not None:
                    states |= dict(zip(keys, used_here(stored), strict=True))
                writes.append(self._pair_write(lacking, states, ready.response))
            self.account.cells += len(lacking.cells)
            self.account.pairs += len(lacking.pairs)
            yield writes

    def _rendered(self, system_prompt: str, user: str) -> list[int]:
        from persona_geometry.model.chat import render

        return render(self.model.tokenizer, system_prompt, user, self.settings.model.system_role)

    def _read_states(
        self, lacking: _Lacking, response: Response, n_tokens: int, readers: ThreadPoolExecutor
    ) -> "Callable[[], tuple[list[str], torch.Tensor | None]]":
        """Start reading the states of the stored cells that a missing pair needs.

        What is returned waits for them, and gives the cells whose states were kept and these, on
        the head's device.
        """
        import torch

        from persona_geometry.gpu.transfer import as_tensor, to_device_aside
        from persona_geometry.model.loading import hidden_size

        task = lacking.task
        wanted = sorted(set(lacking.paired) - set(lacking.cells))
        shape = len(wanted), n_tokens, hidden_size(self.model.network)
        states = torch.empty(shape, dtype=self.model.dtype)

        def fetch(row: int, key: str) -> bool:
            read, response_sha256 = self.store.read_states(task.item, key)
            if response_sha256 != response.sha256:
                raise InputError(
                    f"{self.store.cell_path(task.item, key)} was computed on another response "
                    f"than the one stored for prompt '{task.name}'; run 'python "
                    f"workflow_scripts/manage_store.py verify --repair' and the workflow again."
                )
            if read is not None:
                states[row] = as_tensor(read)
            return read is not None

        fetched = [readers.submit(fetch, row, key) for row, key in enumerate(wanted)]

        def arrived() -> "tuple[list[str], torch.Tensor | None]":
            kept = [one.result() for one in fetched]
            if not any(kept):
                return [], None
            chosen = states if all(kept) else states[kept]
            return list(compress(wanted, kept)), to_device_aside(chosen, self.model.head_device)

        return arrived

    def _force(self, prepared: Sequence[_Prepared]) -> "list[dict[str, Forced]]":
        """Run what was rendered, all in one; each item's results by cell."""
        from persona_geometry.model.forcing import teacher_force

        turns = [(prompt, ready.ids) for ready in prepared for prompt in ready.rendered.values()]
        if not turns:
            return [{} for _ in prepared]
        with self.watch.device("force", self.model.device):
            forced = iter(teacher_force(self.model, turns, self.settings.batch_tokens))
        return [{key: next(forced) for key in ready.rendered} for ready in prepared]

    def _cell_writes(
        self, lacking: _Lacking, forced: "dict[str, Forced]", response: Response
    ) -> list[Callable[[], None]]:
        """Send what is kept of forward passes off the GPU, in the model's precision."""
        import torch

        from persona_geometry.gpu.transfer import as_array, to_host

        keys = lacking.cells
        if not keys:
            return []
        names = ["last_prompt_token", "response_mean"]
        if self.settings.scoring.keep_states:
            names.append("states")
        arrived = to_host(
            {
                name: torch.stack([getattr(forced[key], name) for key in keys]).to(self.model.dtype)
                for name in names
            }
        )

        def write(row: int, key: str) -> None:
            arrays: dict[str, Any] = {name: as_array(t[row]) for name, t in arrived().items()}
            cell = Cell(**{"states": None, **arrays}, response_sha256=response.sha256)
            self.store.write_cell(lacking.task.item, key, cell)

        return [partial(write, row, key) for row, key in enumerate(keys)]

    def _pair_write(
        self, lacking: _Lacking, states: "dict[str, torch.Tensor]", response: Response
    ) -> Callable[[], None]:
        """Start computing divergences from head inputs (T, d) by cell."""
        import torch

        from persona_geometry.divergence import unchecked_divergences, within_range
        from persona_geometry.gpu.transfer import to_host

        names = lacking.paired
        places = np.unique(lacking.pairs, return_inverse=True)[1].reshape(-1, 2)
        home = self.model.head_device
        stacked = torch.stack([states[name].to(home) for name in names])
        with self.watch.device("diverge", home), torch.inference_mode():
            result = unchecked_divergences(
                lambda start, stop: self.model.head(stacked[:, start:stop]),
                len(names),
                stacked.shape[1],
                torch.from_numpy(places),
                device=home,
            )
        arrived = to_host({"divergences": result})

        def write() -> None:
            try:
                checked = within_range(arrived()["divergences"])
            except (InputError, ArithmeticError) as error:
                raise InputError(f"Prompt '{lacking.task.name}': {error}") from error
            arrays = {name: getattr(checked, name).numpy() for name in DIVERGENCES}
            block = PairBlock(names, places, **arrays, response_sha256=response.sha256)
            self.store.write_pairs(lacking.task.item, block)

        return write

    def _note_device(self) -> None:
        import torch

        self.watch.settle()
        if self.model.device.type == "cuda":
            self.account.device = torch.cuda.get_device_name()
            self.account.peak_gpu_bytes = torch.cuda.max_memory_allocated()
        else:
            self.account.device = "cpu"
        self.account.packages = package_versions()


def store_response(store: Store, task: Task, response: Response, settings: Settings) -> None:
    """Store a response with its recipe.

    Raises:
        InputError: the model said nothing, so there is nothing to score.
    """
    if not response.token_ids or not response.text.strip():
        raise InputError(
            f"The model's response to prompt '{task.name}' is empty; reword the prompt or remove "
            f"it from the prompt table."
        )
    recipe = {
        "model": asdict(settings.model),
        "generation": asdict(settings.generation),
        "system_prompt": settings.response_system_prompt,
        "user": task.user,
    }
    store.write_response(task.response, response, recipe)
