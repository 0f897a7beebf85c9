"""The small operations of a decoder layer, and on its output, as single GPU kernels.

transformers writes RMSNorm, SwiGLU and the rotary embedding as chains of small operations, each a
trip through memory: at 7B they take a third as long as the matrix products. One kernel each takes a
tenth, and rounds once where a chain rounds several times. A part is replaced only where, tried on
random input, the kernel repeats what the model's own code gives.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import rms_norm

BLOCK = 4096
MEAN_TOKENS, MEAN_WIDTH = 16, 128
TOLERANCE = 2.0**-6  # of the largest value: a few roundings of bfloat16


@triton.jit
def _swiglu(gates, ups, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    gate = tl.load(gates + at, mask=at < n, other=0).to(tl.float32)
    up = tl.load(ups + at, mask=at < n, other=0).to(tl.float32)
    tl.store(out + at, gate * tl.sigmoid(gate) * up, mask=at < n)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up, of two contiguous tensors of one shape."""
    out = torch.empty_like(gate)
    _swiglu[(triton.cdiv(out.numel(), BLOCK),)](gate, up, out, out.numel(), BLOCK=BLOCK)
    return out


@triton.jit(do_not_specialize=["n_heads", "n_tokens"])
def _rotary(
    x,  # (B, H, S, D) in any strides
    out,  # the same shape
    cosines,  # (B or 1, S, D) contiguous
    sines,
    n_heads,
    n_tokens,
    stride_row,
    stride_head,
    stride_token,
    out_row,
    out_head,
    out_token,
    stride_table,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
):
    row = (tl.program_id(0) // n_tokens).to(tl.int64)
    token = tl.program_id(0) % n_tokens
    head = tl.arange(0, HEADS)[:, None]
    low = tl.arange(0, HALF)[None, :]
    angle = row * stride_table + token * (2 * HALF) + low
    at = row * stride_row + head * stride_head + token.to(tl.int64) * stride_token + low
    to = row * out_row + head * out_head + token.to(tl.int64) * out_token + low
    wanted = head < n_heads
    x_low = tl.load(x + at, mask=wanted, other=0).to(tl.float32)
    x_high = tl.load(x + at + HALF, mask=wanted, other=0).to(tl.float32)
    cos_low, cos_high = tl.load(cosines + angle), tl.load(cosines + angle + HALF)
    sin_low, sin_high = tl.load(sines + angle), tl.load(sines + angle + HALF)
    tl.store(out + to, x_low * cos_low - x_high * sin_low, mask=wanted)
    tl.store(out + to + HALF, x_high * cos_high + x_low * sin_high, mask=wanted)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    batch, heads, tokens, width = x.shape
    out = torch.empty_like(x)  # in other strides where those of x leave gaps
    _rotary[(batch * tokens,)](
        x, out, cos, sin, heads, tokens, *x.stride()[:3], *out.stride()[:3],
        0 if cos.shape[0] == 1 else cos.stride(0),
        HEADS=triton.next_power_of_2(heads), HALF=width // 2,
    )  # fmt: skip
    return out


def rotary(
    own: Callable[..., Any], q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, **kwargs: Any
) -> Any:
    """q and k (B, H, S, D), rotated by angles with the given (B or 1, S, D) cosines and sines.

    Whatever has other shapes, or is not on a GPU, is left to the model's own function.
    """
    half = q.shape[-1] // 2
    known = not kwargs and cos.shape[-1] == q.shape[-1] and half == triton.next_power_of_2(half)
    known &= q.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"
    if not known or not (cos.is_contiguous() and q.stride(3) == k.stride(3) == 1):
        return own(q, k, cos, sin, **kwargs)
    return _rotated(q, cos, sin), _rotated(k, cos, sin)


@triton.jit(do_not_specialize=["width"])
def _row_means(
    hidden,  # (B, S, d)
    starts,  # (n,) first token of each row's mean
    counts,  # (n,) tokens of it
    out,  # (n, d) float32
    width,
    stride_row,
    stride_token,
    TOKENS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0)
    start, count = tl.load(starts + row), tl.load(counts + row)
    token = tl.arange(0, TOKENS)[:, None]
    at = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]
    x = hidden + row.to(tl.int64) * stride_row + (start + token) * stride_token + at
    total = tl.zeros((TOKENS, WIDTH), tl.float32)
    for first in range(0, count, TOKENS):
        wanted = (first + token < count) & (at < width)
        total += tl.load(x + first * stride_token, mask=wanted, other=0).to(tl.float32)
    mean = tl.sum(total, 0, keep_dims=True) / count
    tl.store(out + row * width + at, mean, mask=at < width)


def row_means(hidden: Tensor, starts: Tensor, counts: Tensor) -> Tensor:
    """Means over some tokens of each row, added in an order that depends on nothing else.

    Args:
        hidden: (B, S, d).
        starts, counts: (n,) first token, and number of tokens, of each of the first n rows.

    Returns:
        (n, d) float32.
    """
    n, width = len(starts), hidden.shape[2]
    hidden = hidden if hidden.stride(2) == 1 else hidden.contiguous()
    out = hidden.new_empty(n, width, dtype=torch.float32)
    with torch.cuda.device_of(hidden):
        _row_means[(n, triton.cdiv(width, MEAN_WIDTH))](
            hidden, starts, counts, out, width, hidden.stride(0), hidden.stride(1),
            TOKENS=MEAN_TOKENS, WIDTH=MEAN_WIDTH,
        )  # fmt: skip
    return out


def fuse(network: Any) -> None:
    """Replace what can be replaced in a model on one GPU, in place."""
    modules = list(network.modules())
    like = network.get_input_embeddings().weight
    for module in modules:
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            x = like.new_empty(1, 3, module.weight.shape[-1]).normal_()
            _replace_forward(module, partial(_rms_norm, module), x)
        elif all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            x = like.new_empty(1, 3, module.gate_proj.in_features).normal_()
            _replace_forward(module, partial(_gated, module), x)
    for source in {type(module).__module__ for module in modules}:
        if hasattr(sys.modules[source], "apply_rotary_pos_emb"):
            _replace_rotary(sys.modules[source], network)


def _rms_norm(module: Any, x: Tensor) -> Tensor:
    return rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)


def _gated(module: Any, x: Tensor) -> Tensor:
    out: Tensor = module.down_proj(swiglu(module.gate_proj(x), module.up_proj(x)))
    return out


def _replace_forward(module: Any, fused: Callable[[Tensor], Tensor], x: Tensor) -> None:
    if _equal(module(x), fused(x)):
        module.forward = fused


def _replace_rotary(source: Any, network: Any) -> None:
    """Replace the function that a modelling file rotates with, for heads like the network's."""
    own = source.apply_rotary_pos_emb
    if isinstance(own, partial):
        return
    config, like = network.config.get_text_config(), network.get_input_embeddings().weight
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    shared = getattr(config, "num_key_value_heads", None) or heads
    shapes = [(1, h, 3, width) for h in (heads, shared)] + [(1, 3, width)] * 2
    examples = [like.new_empty(shape).normal_() for shape in shapes]
    fused = partial(rotary, own)
    try:
        expected = own(*examples)
    except (TypeError, RuntimeError):  # another function of that name
        return
    if all(_equal(*pair) for pair in zip(expected, fused(*examples), strict=True)):
        source.apply_rotary_pos_emb = fused


def _equal(expected: Tensor, ours: Tensor) -> bool:
    worst = (expected.float() - ours.float()).abs().max()
    return bool(worst <= TOLERANCE * expected.float().abs().max())
