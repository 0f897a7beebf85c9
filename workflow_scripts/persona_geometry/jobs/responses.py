"""Generating the responses that the store lacks: what both backends share, and vLLM's own job."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.gpu.stopwatch import Stopwatch
from persona_geometry.jobs.task import Account, Settings, Task
from persona_geometry.jobs.texts import check_tasks
from persona_geometry.model.chat import render
from persona_geometry.model.generation.ending import end_tokens
from persona_geometry.model.generation.vllm_backend import device_use, engine, generate
from persona_geometry.model.hub import model_folder
from persona_geometry.model.prompts import positions_of
from persona_geometry.store.store import Response, Store
from persona_geometry.study.recipes import items_on
from persona_geometry.versions import package_versions

REPORT_SECONDS = 1.0


@dataclass
class Progress:
    """Reports how many of a job's responses are there, at most once in REPORT_SECONDS."""

    total: int
    report: Callable[[str], None]
    done: int = 0
    started: float = field(default_factory=time.perf_counter)
    reported: float = 0.0

    def add(self, more: int) -> None:
        self.done += more
        now = time.perf_counter()
        if self.done < self.total and now - self.reported < REPORT_SECONDS:
            return
        self.reported = now
        rate = self.done / (now - self.started)
        self.report(
            f"{self.done} of {self.total} responses generated, {rate:.2f} a second, "
            f"{(self.total - self.done) / rate:.0f} s left"
        )


class MissingResponses:
    """The responses that the store lacks: their prompts, and where each answer goes.

    Attributes:
        tasks: those whose response is not in the store.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: Settings,
        store: Store,
        account: Account,
        report: Callable[[str], None],
    ) -> None:
        self.tasks = [task for task in tasks if store.read_response(task.response) is None]
        self.settings = settings
        self.store = store
        self.account = account
        self.report = report

    def prompts(self, tokenizer: Any, config: Any) -> list[list[int]]:
        """Token ids of each task's prompt under the system prompt of the responses.

        Raises:
            InputError: one is not what the tables say, or too long for the model (its config).
        """
        check_tasks(tokenizer, self.tasks, self.settings, positions_of(config))
        system, model = self.settings.response_system_prompt, self.settings.model
        role, arguments = model.system_role, model.template_arguments
        return [render(tokenizer, system, task.user, role, arguments) for task in self.tasks]

    def saver(self) -> Callable[[dict[int, Response]], None]:
        """What a backend calls with answers by the places of their tasks; the clock starts now."""
        progress = Progress(len(self.tasks), self.report)

        def save(answers: dict[int, Response]) -> None:
            for place, response in answers.items():
                store_response(self.store, self.tasks[place], response, self.settings)
                self.account.responses += 1
            progress.add(len(answers))

        return save


def store_response(store: Store, task: Task, response: Response, settings: Settings) -> None:
    """Store a response with its recipe.

    Where the store had lost it, cells and pairs that were computed on another one go.

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
    store.drop_results(items_on(task.response), other_than=response)
    store.write_response(task.response, response, recipe)


def generate_responses(
    tasks: Sequence[Task],
    settings: Settings,
    store: Store,
    report: Callable[[str], None] = print,
) -> Account:
    """Generate and store with vLLM the responses that the store lacks; say what was done.

    Each response is stored in the step that ends it, so a killed job loses those in flight. If
    the store lacks nothing, vLLM is not started.

    Raises:
        InputError: an empty response, or one of `engine`.
    """
    account = Account()
    missing = MissingResponses(tasks, settings, store, account, report)
    report(f"{len(tasks)} prompts: {len(missing.tasks)} responses to generate")
    if missing.tasks:
        _generate(missing)
    return account


def _generate(missing: MissingResponses) -> None:
    from transformers import AutoConfig

    from persona_geometry.model.configs import load_tokenizer

    settings, account = missing.settings, missing.account
    folder = model_folder(settings.model)
    tokenizer = load_tokenizer(folder, settings.model.chat_template)
    prompts = missing.prompts(tokenizer, AutoConfig.from_pretrained(folder))
    ends = end_tokens(_generation_config(folder), tokenizer)
    limit = settings.generation.max_new_tokens
    share = settings.generation.gpu_memory_utilization
    longest = max(map(len, prompts)) + limit
    watch = Stopwatch(account.seconds)
    with ExitStack() as running:
        with watch.program("load"):
            llm = running.enter_context(
                engine(folder, settings.model, share, longest, len(prompts), settings.device)
            )
        missing.report(f"vLLM started in {account.seconds['load']:.1f} s")
        with watch.program("generate"):
            generate(llm, tokenizer, prompts, ends, limit, missing.saver())
        account.device, account.peak_gpu_bytes = device_use()
    account.packages = package_versions()


def _generation_config(folder: Path) -> Any:
    """The generation config as a loaded model would have it."""
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
