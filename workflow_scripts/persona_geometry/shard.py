"""The work of one GPU job: a shard of prompts, with the model loaded once.

Whatever the store already holds is not computed again; if it holds everything, no model is
loaded. Each result is stored as soon as it exists, so a killed job loses the prompt in hand.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from persona_geometry.errors import InputError
from persona_geometry.provenance import package_versions
from persona_geometry.store import DIVERGENCES, Cell, PairBlock, Response, Store

if TYPE_CHECKING:
    import torch

    from persona_geometry.forcing import Forced
    from persona_geometry.model import LanguageModel

WRITERS = 8


@dataclass(frozen=True)
class Task:
    """An item's recipe in full, as a GPU job needs it.

    Attributes:
        name: the prompt's name, for messages.
        user: the prompt's text.
        item, response: keys.
        cells: cell key to system prompt.
    """

    name: str
    user: str
    item: str
    response: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Settings:
    """What of a study's config a GPU job needs."""

    model: dict[str, Any]
    generation: dict[str, Any]
    scoring: dict[str, Any]
    response_system_prompt: str
    device: str = "auto"
    batch_tokens: int = 0


@dataclass
class Account:
    """What a job did, for its receipt: counts, seconds a stage, device, peak memory, versions."""

    responses: int = 0
    cells: int = 0
    pairs: int = 0
    seconds: dict[str, float] = field(
        default_factory=lambda: {"load": 0.0, "generate": 0.0, "force": 0.0, "diverge": 0.0}
    )
    device: str | None = None
    peak_gpu_bytes: int | None = None
    packages: dict[str, str] | None = None


@dataclass(frozen=True)
class _Prepared:
    """What measuring one item needs beside the model.

    Attributes:
        response: the shared response.
        ids: its scored tokens.
        stored: head inputs (T, d) of stored cells.
        rendered: token ids of the prompts to run, by cell.
    """

    response: Response
    ids: list[int]
    stored: "dict[str, torch.Tensor]"
    rendered: dict[str, list[int]]


@dataclass
class Clock:
    """Adds the seconds of a `with` block to an account."""

    seconds: dict[str, float]
    stage: str

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] += time.perf_counter() - self.started


class ShardJob:
    """Computes what a shard's items lack."""

    def __init__(
        self, settings: Settings, store: Store, report: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.store = store
        self.report = report
        self.account = Account()

    @cached_property
    def model(self) -> "LanguageModel":
        """The model, loaded when the first missing result needs it."""
        from persona_geometry.model import load_model

        with Clock(self.account.seconds, "load"):
            model = load_model(self.settings.model, self.settings.device)
        self.report(f"model loaded in {self.account.seconds['load']:.1f} s on {model.device}")
        return model

    def run(self, tasks: Sequence[Task]) -> dict[str, Any]:
        """Compute and store what is missing; return the receipt's content."""
        lacking = [(task, *self.store.missing(task.item, list(task.cells))) for task in tasks]
        todo = [entry for entry in lacking if entry[1] or entry[2]]
        self.report(
            f"{len(tasks)} prompts: {sum(len(cells) for _, cells, _ in todo)} cells and "
            f"{sum(len(pairs) for _, _, pairs in todo)} pairs to compute"
        )
        if todo:
            self.generate([task for task, _, _ in todo])
            started = time.perf_counter()
            # While one prompt is scored, the last one is written and the next one rendered.
            with ThreadPoolExecutor(WRITERS) as pool:
                written: list[Future] = []
                ready = pool.submit(self._prepare, *todo[0])
                for done, (task, cells, pairs) in enumerate(todo, start=1):
                    prepared = ready.result()
                    if done < len(todo):
                        ready = pool.submit(self._prepare, *todo[done])
                    writes = self._measure(task, cells, pairs, prepared)
                    _finish(written)
                    written = [pool.submit(write) for write in writes]
                    elapsed = time.perf_counter() - started
                    self.report(
                        f"{done} of {len(todo)} prompts scored ({task.name}), "
                        f"{elapsed / done:.2f} s a prompt, "
                        f"{elapsed / done * (len(todo) - done):.0f} s left"
                    )
                _finish(written)
            self._note_device()
        return {
            "cells": sorted(cell for task in tasks for cell in task.cells),
            "account": asdict(self.account),
        }

    def generate(self, tasks: Sequence[Task]) -> None:
        """Generate and store the responses that the store lacks."""
        lacking = [task for task in tasks if self.store.read_response(task.response) is None]
        if not lacking:
            return
        from persona_geometry.generation.transformers_backend import generate

        if self.settings.generation["backend"] != "transformers":
            raise InputError(
                f"The response to prompt '{lacking[0].name}' is not in the store, although a "
                f"receipt certifies it; run 'python workflow_scripts/manage_store.py verify "
                f"--repair' and then the workflow again."
            )
        prompts = [self._rendered(self.settings.response_system_prompt, t.user) for t in lacking]
        limit = self.settings.generation["max_new_tokens"]

        def save(index: int, response: Response) -> None:
            store_response(self.store, lacking[index], response, self.settings)
            self.account.responses += 1
            self.report(f"{self.account.responses} of {len(lacking)} responses generated")

        model = self.model
        with Clock(self.account.seconds, "generate"):
            generate(model, prompts, limit, save)

    def _prepare(
        self, task: Task, missing_cells: list[str], missing_pairs: list[tuple[str, str]]
    ) -> "_Prepared":
        """Read and render what measuring one item needs."""
        from persona_geometry.chat import scored_tokens

        response = self.store.need_response(task.response)
        ids = scored_tokens(
            self.model.tokenizer,
            response.token_ids,
            end_of_turn=self.settings.scoring["end_of_turn"],
            retokenize=self.settings.scoring["retokenize"],
        )
        stored = self._stored_states(task, missing_cells, missing_pairs, response)
        needed = {cell for pair in missing_pairs for cell in pair}
        to_force = missing_cells + sorted(needed - set(missing_cells) - set(stored))
        rendered = {key: self._rendered(task.cells[key], task.user) for key in to_force}
        return _Prepared(response, ids, stored, rendered)

    def _measure(
        self,
        task: Task,
        missing_cells: list[str],
        missing_pairs: list[tuple[str, str]],
        prepared: "_Prepared",
    ) -> list[Callable[[], None]]:
        """Compute what one item lacks; return the writes that store it."""
        response = prepared.response
        forced = self._force(prepared)
        writes: list[Callable[[], None]] = []
        if missing_pairs:
            home, dtype = self.model.head_device, self.model.dtype
            states = {key: state.to(home, dtype) for key, state in prepared.stored.items()}
            states |= {key: result.states for key, result in forced.items()}
            block = self._diverge(missing_pairs, states, len(prepared.ids), response)
            writes.append(partial(self.store.write_pairs, task.item, block))
        writes += [
            partial(self.store.write_cell, task.item, key, cell)
            for key, cell in self._as_cells(missing_cells, forced, response).items()
        ]
        self.account.cells += len(missing_cells)
        self.account.pairs += len(missing_pairs)
        return writes

    def _rendered(self, system_prompt: str, user: str) -> list[int]:
        from persona_geometry.chat import render

        return render(self.model.tokenizer, system_prompt, user, self.settings.model["system_role"])

    def _stored_states(
        self,
        task: Task,
        missing_cells: list[str],
        missing_pairs: list[tuple[str, str]],
        response: Response,
    ) -> "dict[str, torch.Tensor]":
        """States of the stored cells that a missing pair needs, where they were kept."""
        import torch

        wanted = {cell for pair in missing_pairs for cell in pair} - set(missing_cells)

        def read(key: str) -> Cell:
            cell = self.store.read_cell(task.item, key)
            if cell.response_sha256 != response.sha256:
                raise InputError(
                    f"{self.store.cell_path(task.item, key)} was computed on another response "
                    f"than the one stored for prompt '{task.name}'; run 'python "
                    f"workflow_scripts/manage_store.py verify --repair' and the workflow again."
                )
            return cell

        with ThreadPoolExecutor(WRITERS) as readers:
            cells = dict(zip(sorted(wanted), readers.map(read, sorted(wanted)), strict=True))
        return {
            key: torch.from_numpy(cell.states).to(self.model.dtype)
            for key, cell in cells.items()
            if cell.states is not None
        }

    def _force(self, prepared: "_Prepared") -> "dict[str, Forced]":
        from persona_geometry.forcing import teacher_force

        if not prepared.rendered:
            return {}
        with Clock(self.account.seconds, "force"):
            forced = teacher_force(
                self.model,
                list(prepared.rendered.values()),
                prepared.ids,
                self.settings.batch_tokens,
            )
            self._wait_for_gpu()
        return dict(zip(prepared.rendered, forced, strict=True))

    def _wait_for_gpu(self) -> None:
        """GPU work is started, not done, when a call returns; clocks must not stop before it is."""
        import torch

        if self.model.device.type == "cuda":
            torch.cuda.synchronize()

    def _as_cells(
        self, keys: list[str], forced: "dict[str, Forced]", response: Response
    ) -> dict[str, Cell]:
        """What is kept of forward passes, in the model's precision, off the GPU."""
        import torch

        if not keys:
            return {}

        def kept(name: str) -> Any:
            stacked = torch.stack([getattr(forced[key], name) for key in keys])
            stacked = stacked.to(self.model.dtype).cpu()
            if stacked.dtype == torch.bfloat16:
                return stacked.view(torch.int16).numpy().view("uint16")
            return stacked.numpy()

        last, mean = kept("last_prompt_token"), kept("response_mean")
        states = kept("states") if self.settings.scoring["keep_states"] else [None] * len(keys)
        return {
            key: Cell(states[i], last[i], mean[i], response.sha256) for i, key in enumerate(keys)
        }

    def _diverge(
        self,
        pairs: list[tuple[str, str]],
        states: "dict[str, torch.Tensor]",
        n_tokens: int,
        response: Response,
    ) -> PairBlock:
        import torch

        from persona_geometry.divergence import pairwise_divergences

        names = list(dict.fromkeys(cell for pair in pairs for cell in pair))
        index = {name: i for i, name in enumerate(names)}
        home = self.model.head_device
        stacked = torch.stack([states[name].to(home) for name in names])
        with Clock(self.account.seconds, "diverge"), torch.inference_mode():
            result = pairwise_divergences(
                lambda start, stop: self.model.head(stacked[:, start:stop]),
                len(names),
                n_tokens,
                [(index[a], index[b]) for a, b in pairs],
                device=home,
            )
            arrays = {name: getattr(result, name).cpu().numpy() for name in DIVERGENCES}
        return PairBlock(pairs=pairs, **arrays, response_sha256=response.sha256)

    def _note_device(self) -> None:
        import torch

        if self.model.device.type == "cuda":
            self.account.device = torch.cuda.get_device_name()
            self.account.peak_gpu_bytes = torch.cuda.max_memory_allocated()
        else:
            self.account.device = "cpu"
        self.account.packages = package_versions()


def _finish(writes: list[Future]) -> None:
    for write in writes:
        write.result()


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
        "model": settings.model,
        "generation": settings.generation,
        "system_prompt": settings.response_system_prompt,
        "user": task.user,
    }
    store.write_response(task.response, response, recipe)
