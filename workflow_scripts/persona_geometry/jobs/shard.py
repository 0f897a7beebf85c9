"""The work of one GPU job: a shard of prompts, with the model loaded once.

Whatever the store already holds is not computed again; if it holds everything, no model is
loaded. Each result is stored as soon as it exists: a killed job loses what is being computed and
what is on its way from the GPU to the store, which is a second's work of a GPU that is kept busy.
"""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from persona_geometry.gpu import kernels
from persona_geometry.gpu.stopwatch import Stopwatch
from persona_geometry.jobs.lacking import Lacking, lacking_items
from persona_geometry.jobs.pipeline import run_ahead
from persona_geometry.jobs.responses import MissingResponses
from persona_geometry.jobs.task import Account, Settings, Task
from persona_geometry.jobs.texts import check_tasks
from persona_geometry.model.chat import render
from persona_geometry.store.store import Store
from persona_geometry.versions import package_versions

if TYPE_CHECKING:
    from persona_geometry.model.loading import LanguageModel


class ShardJob:
    """Computes what a shard's items lack. torch is imported when the first of it is missing."""

    def __init__(
        self, settings: Settings, store: Store, report: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.store = store
        self.report = report
        self.tasks: Sequence[Task] = []
        self.account = Account()
        self.watch = Stopwatch(self.account.seconds)

    @cached_property
    def model(self) -> "LanguageModel":
        """The model, loaded and tried when the first missing result needs it."""
        from persona_geometry.model.loading import load_model
        from persona_geometry.model.selftest import check_model

        with self.watch.program("load"):
            model = load_model(self.settings.model, self.settings.device)
        if self.tasks:
            with self.watch.program("check"):
                turns = self._sample_turns(model.tokenizer)
                model = check_model(model, turns, decoding=self._generates())
        slow = kernels.lacking() if model.device.type == "cuda" else ""
        warning = f"; without fused kernels, which takes several times as long: {slow}"
        self.report(
            f"model loaded in {self.account.seconds['load']:.1f} s on {model.device}, "
            f"tried on the study's rows in {self.account.seconds['check']:.1f} s"
            + (warning if slow else "")
        )
        return model

    def _sample_turns(self, tokenizer: Any) -> list[tuple[list[int], list[int]]]:
        """The shortest, a middle and the longest prompt, answered at full length."""
        from persona_geometry.model.selftest import sample_turns

        texts = [(system, task.user) for task in self.tasks for system in task.cells.values()]
        texts.sort(key=lambda pair: len("".join(pair).encode()))
        role, arguments = self.settings.model.system_role, self.settings.model.template_arguments
        chosen = [texts[place] for place in (0, len(texts) // 2, -1)]
        rendered = [render(tokenizer, *pair, role, arguments) for pair in chosen]
        return sample_turns(rendered, self.settings.generation.max_new_tokens)

    def _generates(self) -> bool:
        """Whether the loaded model is to answer prompts."""
        read = self.store.read_response
        return self.settings.generation.backend == "transformers" and any(
            read(task.response) is None for task in self.tasks
        )

    def run(self, tasks: Sequence[Task]) -> Account:
        """Compute and store what is missing; say what was done."""
        self.tasks = tasks
        todo = lacking_items(self.store, tasks)
        top = sum(len(one.top_tokens) for one in todo)
        self.report(
            f"{len(tasks)} prompts: {sum(len(one.cells) for one in todo)} cells and "
            f"{sum(len(one.pairs) for one in todo)} pairs to compute"
            + (f", and top tokens of {top} cells" if top else "")
        )
        generated = self.generate(tasks)
        if generated:
            todo = lacking_items(self.store, tasks)
        if todo:
            self._score(todo)
        if todo or generated:
            self._note_device()
        return self.account

    def generate(self, tasks: Sequence[Task]) -> bool:
        """Generate and store the responses that the store lacks; whether there were any.

        Raises:
            InputError: one is missing that a job of its own should have generated.
        """
        missing = MissingResponses(tasks, self.settings, self.store, self.account, self.report)
        if not missing.tasks:
            return False
        if self.settings.generation.backend != "transformers":
            self.store.need_response(missing.tasks[0].response)
        from persona_geometry.model.generation.transformers_backend import generate

        model = self.model
        prompts = missing.prompts(model.tokenizer, model.network.config)
        with self.watch.program("generate"):
            generate(model, prompts, self.settings.generation.max_new_tokens, missing.saver())
        return True

    def _score(self, todo: Sequence[Lacking]) -> None:
        from persona_geometry.jobs.scoring import GroupScorer

        scorer = GroupScorer(self.model, self.settings, self.store, self.account, self.watch)
        tasks = [lacking.task for lacking in todo]
        check_tasks(self.model.tokenizer, tasks, self.settings, scorer.positions)
        started, done = time.perf_counter(), 0

        def stored(prompt: str) -> None:
            nonlocal done
            done += 1
            elapsed = time.perf_counter() - started
            self.report(
                f"{done} of {len(todo)} prompts scored ({prompt}), {elapsed / done:.2f} s a "
                f"prompt, {elapsed / done * (len(todo) - done):.0f} s left"
            )

        run_ahead(scorer.groups(todo), scorer.prepare, scorer.measure, stored)

    def _note_device(self) -> None:
        import torch

        self.watch.settle()
        if self.model.device.type == "cuda":
            self.account.device = torch.cuda.get_device_name()
            self.account.peak_gpu_bytes = torch.cuda.max_memory_allocated()
        else:
            self.account.device = "cpu"
        self.account.packages = package_versions()
