"""Greedy decoding over a static cache, one token a step; on a GPU as one captured CUDA graph.

A step of a 7B model launches a thousand small kernels; launching them one by one takes three times
as long as running them. Captured once and replayed, a step costs what reading the weights costs. On
a CPU no step copies what was kept of those before, nor a key for every head that shares it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import StaticCache
from transformers.cache_utils import StaticLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

CHECK_EVERY = 16
ALIGNED = 8  # cache lengths that attention kernels read without copying the mask


def can_decode(network: Any) -> bool:
    """Whether every layer attends to all before, as the mask used here says."""
    layers = StaticCache(config=network.config, max_cache_len=1).layers
    return all(type(layer) is StaticLayer for layer in layers)


@torch.inference_mode()
def decode(
    network: Any,
    ids: Tensor,
    mask: Tensor,
    max_new_tokens: int,
    ends: Sequence[int],
    kept: list[Tensor] | None = None,
) -> Tensor:
    """Continue prompts greedily.

    Args:
        network: a causal LM for which `can_decode` holds.
        ids: (B, W) token ids, padded on the left.
        mask: (B, W) 1 for tokens, 0 for padding.
        max_new_tokens: tokens to generate.
        ends: end-of-turn tokens; decoding stops when every row has had one.
        kept: given the (B, V) logits of every step.

    Returns:
        (B, n) generated tokens, n <= max_new_tokens; what follows a row's end is arbitrary.
    """
    batch, width = ids.shape
    device = ids.device
    length = -(-(width + max_new_tokens) // ALIGNED) * ALIGNED
    cache = StaticCache(config=network.config, max_cache_len=length)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    logits = network(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[:, -1]
    if kept is not None:
        kept.append(logits)
    token = logits.argmax(-1, keepdim=True)
    position = positions[:, -1:] + 1
    cursor = torch.tensor([width], device=device)
    hidden = torch.finfo(network.dtype).min
    unseen = torch.full((batch, 1, 1, length), hidden, dtype=network.dtype, device=device)
    unseen[:, 0, 0, :width].masked_fill_(mask.bool(), 0)
    answers = torch.zeros(batch, max_new_tokens, dtype=torch.long, device=device)
    answers[:, :1] = token

    def step() -> None:
        nonlocal logits
        unseen.index_fill_(3, cursor, 0)
        logits = network(
            input_ids=token,
            attention_mask=unseen,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        token.copy_(logits.argmax(-1, keepdim=True))
        position.add_(1)
        cursor.add_(1)
        answers.index_copy_(1, cursor - width, token)

    replay = step
    end_tokens = torch.tensor(list(ends), device=device)
    with _grouped_attention(network.config.get_text_config()):
        for done in range(1, max_new_tokens):
            if done % CHECK_EVERY == 0 and torch.isin(answers[:, :done], end_tokens).any(1).all():
                return answers[:, :done]
            replay()
            if kept is not None:
                kept.append(logits.clone())
            if done == 1 and device.type == "cuda":
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    step()
                replay = graph.replay
    return answers


@contextmanager
def _grouped_attention(config: Any) -> Iterator[None]:
    """Let one query token's heads share their keys and values unrepeated, where sdpa is used."""
    own = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register("grouped_decoding", _attend)
    config._attn_implementation = "grouped_decoding" if own == "sdpa" else own
    try:
        yield
    finally:
        config._attn_implementation = own


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one token: query (B, H, 1, D) to key and value (B, G, S, D), H a multiple of G.

    The H / G heads that share a key are laid out as so many tokens, which all see the same.
    """
    batch, heads, _, width = query.shape
    shared = key.shape[1]
    grouped = query.reshape(batch, shared, heads // shared, width)
    mask = attention_mask.expand(batch, shared, heads // shared, -1)
    out = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=scaling)
    return out.reshape(batch, 1, heads, -1), None
