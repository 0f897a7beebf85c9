"""Teacher forcing: one shared response under many personas, in few forward passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from persona_geometry.model import LanguageModel, hidden_size
from persona_geometry.transfer import to_device

LEAST_GPU_TOKENS = 1024


@dataclass(frozen=True)
class Forced:
    """What one forward pass over prompt and response gives.

    Attributes:
        states: (T, d) head inputs at the positions that predict the T response tokens.
        last_prompt_token: (L, d) output of every decoder block at the last prompt token.
        response_mean: (L, d) output of every block, float32 mean over the response tokens.
    """

    states: Tensor
    last_prompt_token: Tensor
    response_mean: Tensor


def teacher_force(
    model: LanguageModel,
    prompts: Sequence[list[int]],
    response: list[int],
    batch_tokens: int = 0,
) -> list[Forced]:
    """Run the model over each prompt followed by the same response.

    Sequences are sorted by length, padded on the right and run in batches. Under causal
    attention a position never sees what follows it, so padding needs no mask.

    Args:
        model: the loaded model.
        prompts: rendered token ids, one list a persona.
        response: token ids of the shared response, T of them.
        batch_tokens: tokens a batch may hold; 0 sizes it from free memory. A batch that does not
            fit is halved.

    Returns:
        One result a prompt, in the given order, on the model's devices.
    """
    budget = batch_tokens or _affordable_tokens(model)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: dict[int, Forced] = {}
    while order:
        width = 0
        batch: list[int] = []
        for i in order:
            width = max(width, len(prompts[i]) + len(response))
            if batch and width * (len(batch) + 1) > budget:
                break
            batch.append(i)
        try:
            forced = _forward(model, [prompts[i] for i in batch], response)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            budget = sum(len(prompts[i]) + len(response) for i in batch) // 2
            torch.cuda.empty_cache()
            continue
        results.update(zip(batch, forced, strict=True))
        order = order[len(batch) :]
    return [results[i] for i in range(len(prompts))]


@torch.inference_mode()
def _forward(model: LanguageModel, prompts: list[list[int]], response: list[int]) -> list[Forced]:
    n_prompts, n_tokens = len(prompts), len(response)
    width = max(len(prompt) for prompt in prompts) + n_tokens
    n_rows = max(n_prompts, math.ceil(_least_tokens(model) / width))
    ids = torch.zeros(n_rows, width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt) + n_tokens] = torch.tensor(prompt + response)
    starts = torch.tensor([len(prompt) for prompt in prompts])
    # The last prompt token and the response, in each row, as places in the batch laid end to end.
    places = torch.arange(n_prompts)[:, None] * width + starts[:, None] + torch.arange(-1, n_tokens)
    copies: dict[torch.device, Tensor] = {}
    last: list[Tensor] = []
    mean: list[Tensor] = []

    def wanted(hidden: Tensor) -> Tensor:
        """(B, 1 + T, d) states at the last prompt token and the response."""
        if hidden.device not in copies:
            copies[hidden.device] = to_device(places.flatten(), hidden.device)
        chosen = hidden.flatten(0, 1).index_select(0, copies[hidden.device])
        return chosen.view(n_prompts, 1 + n_tokens, -1)

    def keep(_module: torch.nn.Module, _inputs: tuple, output: Tensor | tuple) -> None:
        chosen = wanted(output[0] if isinstance(output, tuple) else output)
        last.append(chosen[:, 0].clone())
        mean.append(chosen[:, 1:].mean(1, dtype=torch.float32))

    hooks = [block.register_forward_hook(keep) for block in model.blocks]
    try:
        final = model.network.base_model(
            input_ids=to_device(ids, model.device), use_cache=False
        ).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    states = wanted(final)[:, :-1]
    last_all = torch.stack([vector.to(final.device) for vector in last], 1)
    mean_all = torch.stack([vector.to(final.device) for vector in mean], 1)
    return [Forced(*parts) for parts in zip(states, last_all, mean_all, strict=True)]


def _least_tokens(model: LanguageModel) -> int:
    """Tokens a batch holds at least, empty rows included.

    On a GPU, products of fewer rows are summed in another order than those of more, and in
    bfloat16 a persona measured alone would differ from the same persona among others.
    """
    return LEAST_GPU_TOKENS if model.device.type == "cuda" else 0


def _affordable_tokens(model: LanguageModel) -> int:
    """Tokens a forward pass may hold in half of the free GPU memory."""
    if model.device.type != "cuda":
        return 4096
    config = model.network.config.get_text_config()
    wide = getattr(config, "intermediate_size", 4 * hidden_size(model.network))
    per_token = model.dtype.itemsize * (3 * wide + 12 * hidden_size(model.network))
    free = min(torch.cuda.mem_get_info(device)[0] for device in range(torch.cuda.device_count()))
    return max(1, free // 2 // per_token)
