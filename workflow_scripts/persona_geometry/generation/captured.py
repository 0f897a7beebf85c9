"""Greedy decoding over a static cache, one token a step, as one captured CUDA graph.

A step of a 7B model launches a thousand small kernels; launching them one by one takes three times
as long as running them. Captured once and replayed, a step costs what reading the weights costs.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

CHECK_EVERY = 16


def can_decode(network: Any) -> bool:
    """Whether every layer attends to the whole context, as the one mask used here assumes."""
    layers = StaticCache(config=network.config, max_cache_len=1).layers
    return all(type(layer) is StaticLayer for layer in layers)


@torch.inference_mode()
def decode(
    network: Any, ids: Tensor, mask: Tensor, max_new_tokens: int, ends: Sequence[int]
) -> Tensor:
    """Continue prompts greedily.

    Args:
        network: a causal LM for which `can_decode` holds.
        ids: (B, W) token ids, padded on the left.
        mask: (B, W) 1 for tokens, 0 for padding.
        max_new_tokens: tokens to generate.
        ends: end-of-turn tokens; decoding stops when every row has had one.

    Returns:
        (B, n) generated tokens, n <= max_new_tokens; what follows a row's end is arbitrary.
    """
    batch, width = ids.shape
    device = ids.device
    cache = StaticCache(config=network.config, max_cache_len=width + max_new_tokens)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    first = network(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    token = first[:, -1].argmax(-1, keepdim=True)
    position = positions[:, -1:] + 1
    cursor = torch.tensor([width], device=device)
    visible = torch.zeros(batch, 1, 1, width + max_new_tokens, dtype=torch.bool, device=device)
    visible[:, 0, 0, :width] = mask.bool()
    answers = torch.zeros(batch, max_new_tokens, dtype=torch.long, device=device)
    answers[:, :1] = token

    def step() -> None:
        visible.index_fill_(3, cursor, True)
        logits = network(
            input_ids=token,
            attention_mask=visible,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits
        token.copy_(logits[:, -1].argmax(-1, keepdim=True))
        position.add_(1)
        cursor.add_(1)
        answers.index_copy_(1, cursor - width, token)

    replay = step
    end_tokens = torch.tensor(list(ends), device=device)
    for done in range(1, max_new_tokens):
        if done % CHECK_EVERY == 0 and torch.isin(answers[:, :done], end_tokens).any(1).all():
            return answers[:, :done]
        replay()
        if done == 1 and device.type == "cuda":
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            replay = graph.replay
    return answers
