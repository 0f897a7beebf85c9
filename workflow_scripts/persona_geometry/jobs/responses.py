"""The work of the job that generates responses with vLLM: all that the store lacks."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from persona_geometry.gpu.stopwatch import Stopwatch
from persona_geometry.jobs.scoring import store_response
from persona_geometry.jobs.task import Account, Settings, Task
from persona_geometry.model.chat import render
from persona_geometry.model.generation.ending import end_tokens
from persona_geometry.model.generation.vllm_backend import device_use, engine, generate
from persona_geometry.model.hub import model_folder
from persona_geometry.report.run_record import package_versions
from persona_geometry.store.store import Response, Store

REPORT_SECONDS = 1.0


@dataclass
class Progress:
    """Reports how many of a job's responses are there, at most once in REPORT_SECONDS."""

    total: int
    report: Callable[[str], None]
    done: int = 0
    started: float = field(default_factory=time.perf_counter)
    reported: float = 0.0

    def add(self) -> None:
        self.done += 1
        now = time.perf_counter()
        if self.done < self.total and now - self.reported < REPORT_SECONDS:
            return
        self.reported = now
        rate = self.done / (now - self.started)
        self.report(
            f"{self.done} of {self.total} responses generated, {rate:.2f} a second, "
            f"{(self.total - self.done) / rate:.0f} s left"
        )


def generate_responses(
    tasks: Sequence[Task],
    settings: Settings,
    store: Store,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Generate and store the responses that the store lacks; return the receipt's content.

    Each response is stored in the step that ends it, so a killed job loses those in flight. If
    the store lacks nothing, vLLM is not started.

    Raises:
        InputError: an empty response, or one of `engine`.
    """
    lacking = [task for task in tasks if store.read_response(task.response) is None]
    report(f"{len(tasks)} prompts: {len(lacking)} responses to generate")
    account = Account()
    if lacking:
        _generate(lacking, settings, store, account, report)
    return {"responses": sorted(task.response for task in tasks), "account": asdict(account)}


def _generate(
    tasks: Sequence[Task],
    settings: Settings,
    store: Store,
    account: Account,
    report: Callable[[str], None],
) -> None:
    from transformers import AutoTokenizer

    model, generation = settings.model, settings.generation
    folder = model_folder(model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [
        render(tokenizer, settings.response_system_prompt, task.user, model.system_role)
        for task in tasks
    ]
    ends = end_tokens(_generation_config(folder), tokenizer)
    limit = generation.max_new_tokens
    watch = Stopwatch(account.seconds)
    longest = max(map(len, prompts)) + limit
    with ExitStack() as running:
        with watch.program("load"):
            share = generation.gpu_memory_utilization
            llm = running.enter_context(engine(folder, model, share, longest, settings.device))
        report(f"vLLM started in {account.seconds['load']:.1f} s")
        progress = Progress(len(tasks), report)

        def save(index: int, response: Response) -> None:
            store_response(store, tasks[index], response, settings)
            account.responses += 1
            progress.add()

        with watch.program("generate"):
            generate(llm, tokenizer, prompts, ends, limit, save)
        account.device, account.peak_gpu_bytes = device_use()
    account.packages = package_versions()


def _generation_config(folder: Path) -> Any:
    """The generation config as a loaded model would have it."""
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
