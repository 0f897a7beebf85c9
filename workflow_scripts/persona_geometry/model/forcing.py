"""Teacher forcing: one shared response under many personas, in few forward passes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from persona_geometry.gpu import kernels
from persona_geometry.gpu.transfer import to_device
from persona_geometry.model.loading import LanguageModel, hidden_size
from persona_geometry.study.intervention import Ablation

LEAST_GPU_TOKENS = 1024


@dataclass(frozen=True)
class Forced:
    """What one forward pass over prompt and response gives.

    Attributes:
        final_hidden_states: (T, d) head inputs at the positions that predict the T response
            tokens.
        last_prompt_token: (L, d) output of every decoder block at the last prompt token.
        response_mean: (L, d) output of every block, float32 mean over the response tokens.
    """

    final_hidden_states: Tensor
    last_prompt_token: Tensor
    response_mean: Tensor


def teacher_force(
    model: LanguageModel,
    turns: Sequence[tuple[list[int], list[int]]],
    batch_tokens: int = 0,
    ablation: Ablation | None = None,
) -> list[Forced]:
    """Run the model over prompts, each followed by the response that it is forced to give.

    Sequences are sorted by length, padded on the right and run in batches, as far as
    `model.batching` allows. Under causal attention a position never sees what follows it, so
    padding needs no mask.

    Args:
        model: the loaded model.
        turns: token ids of each rendered prompt and of its response.
        batch_tokens: tokens a batch may hold; 0 sizes it from free memory. A batch that does not
            fit is halved.
        ablation: a direction that is taken out of the hidden states after a block.

    Returns:
        One result a turn, in the given order, on the model's devices.
    """
    budget = batch_tokens or _affordable_tokens(model)
    lengths = [len(prompt) + len(response) for prompt, response in turns]
    order = sorted(range(len(turns)), key=lambda i: lengths[i])
    results: dict[int, Forced] = {}
    while order:
        width = 0
        batch: list[int] = []
        for i in order:
            width = max(width, lengths[i])
            if batch and (
                width * (len(batch) + 1) > budget
                or model.batching == "alone"
                or (model.batching == "equal" and width > lengths[batch[0]])
            ):
                break
            batch.append(i)
        try:
            forced = _forward(model, [turns[i] for i in batch], ablation)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise
            budget = sum(lengths[i] for i in batch) // 2
            torch.cuda.empty_cache()
            continue
        results.update(zip(batch, forced, strict=True))
        order = order[len(batch) :]
    return [results[i] for i in range(len(turns))]


@torch.inference_mode()
def _forward(
    model: LanguageModel,
    turns: Sequence[tuple[list[int], list[int]]],
    ablation: Ablation | None,
) -> list[Forced]:
    starts = torch.tensor([len(prompt) for prompt, _ in turns])
    counts = torch.tensor([len(response) for _, response in turns])
    width = int((starts + counts).max())
    n_rows = max(len(turns), math.ceil(_least_tokens(model) / width))
    ids = torch.zeros(n_rows, width, dtype=torch.long)
    for row, (prompt, response) in enumerate(turns):
        ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
    # Places in the batch laid end to end: of the last prompt tokens, and of all that predict.
    ends = torch.arange(len(turns)) * width + starts - 1
    predicting = [torch.arange(n) + end for n, end in zip(counts.tolist(), ends, strict=True)]
    indices = (starts, counts, ends, torch.cat(predicting))
    copies: dict[torch.device, list[Tensor]] = {}
    last: list[Tensor] = []
    mean: list[Tensor] = []

    def on(device: torch.device) -> list[Tensor]:
        if device not in copies:
            copies[device] = [to_device(index, device) for index in indices]
        return copies[device]

    def keep(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        start, count, end, _ = on(hidden.device)
        last.append(hidden.flatten(0, 1).index_select(0, end))
        mean.append(_row_means(hidden, start, count))

    # Hooks of a block run in this order: what is kept has been ablated.
    hooks = [] if ablation is None else [_ablate(model, ablation)]
    hooks += [block.register_forward_hook(keep) for block in model.blocks]
    try:
        final = model.body(
            input_ids=to_device(ids, model.device), use_cache=False
        ).last_hidden_state
    finally:
        for hook in hooks:
            hook.remove()
    home = final.device
    states = final.flatten(0, 1).index_select(0, on(home)[3]).split(counts.tolist())
    last_all = torch.stack([vector.to(home) for vector in last], 1)
    mean_all = torch.stack([vector.to(home) for vector in mean], 1)
    return [Forced(*parts) for parts in zip(states, last_all, mean_all, strict=True)]


def _ablate(model: LanguageModel, ablation: Ablation) -> RemovableHandle:
    """Have a block's output lose its part along a direction, at every position."""
    direction = torch.tensor(ablation.direction, dtype=torch.float32)

    def take_out(_module: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        u, wide = direction.to(hidden.device), hidden.float()
        rest = (wide - (wide * u).sum(-1, keepdim=True) * u).to(hidden.dtype)
        return (rest, *output[1:]) if isinstance(output, tuple) else rest

    return model.blocks[ablation.layer].register_forward_hook(take_out)


def _row_means(hidden: Tensor, starts: Tensor, counts: Tensor) -> Tensor:
    """(n, d) float32 means over the tokens starts..starts+counts of the first n rows."""
    if kernels.run_on(hidden.device):
        from persona_geometry.gpu.fused_layers import row_means

        return row_means(hidden, starts, counts)
    spans = zip(hidden, starts.tolist(), counts.tolist(), strict=False)
    return torch.stack([row[a : a + n].mean(0, dtype=torch.float32) for row, a, n in spans])


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
