"""All wanted pairs of personas, chunk by chunk of response tokens, within the memory at hand."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from persona_geometry.errors import InputError
from persona_geometry.gpu import kernels
from persona_geometry.gpu.transfer import to_device

from . import blocked, reference

Backend = Literal["auto", "torch", "blocked", "triton"]

LN2 = 0.6931471228599548  # the largest float32 that is not above ln 2
ROUNDING = 1e-4  # nats outside its range that a divergence may be before it is called an error
CPU_CHUNK_BYTES = 1 << 28
PAIR_BYTES = 256  # a pair and token: partial sums of a dozen segments, or indices of rows


@dataclass(frozen=True)
class PairDivergences:
    """Divergences of n pairs at T tokens, each (n, T) float32, in nats.

    `js` lies in [0, ln 2]; `kl_pq` is KL(P||Q) with P the pair's first persona, `kl_qp` its
    reverse, both at least 0. Half-Jeffreys is (kl_pq + kl_qp) / 2.
    """

    js: Tensor
    kl_pq: Tensor
    kl_qp: Tensor


@torch.no_grad()
def pairwise_divergences(
    logits_of: Callable[[int, int], Tensor],
    n_personas: int,
    n_tokens: int,
    pairs: Sequence[tuple[int, int]] | Tensor,
    *,
    token_chunk: int | None = None,
    backend: Backend = "auto",
    device: torch.device | str,
) -> PairDivergences:
    """Exact Jensen-Shannon and Kullback-Leibler divergences of pairs of personas, per token.

    `logits_of(start, stop)` returns the (n_personas, stop - start, V) logits (float32 or
    bfloat16, finite, on `device`) of tokens start..stop-1 of one response; no larger tensor is
    ever made. `pairs` is n rows of two persona numbers, in any order; only those are computed.
    `token_chunk` tokens are taken at a time; None lets the first token be measured and the rest
    chosen from free memory. Either is halved whenever the GPU runs out of memory. The chunk
    changes no value, as far as `logits_of` itself does not.

    `backend` "torch" is the reference and runs anywhere, "blocked" is for CPUs, "triton" is the
    fused GPU kernel; "auto" takes "blocked" on a CPU, and the kernel on a GPU where Triton can
    compile it. JS = H((P+Q)/2) - H(P)/2 - H(Q)/2 (Lin, IEEE Trans. Inf. Theory 37, 1991), over the
    whole vocabulary, in float32.

    Raises InputError for pairs or a chunk out of range and for logits that are not finite,
    ArithmeticError where a divergence leaves its range by more than rounding, and
    torch.cuda.OutOfMemoryError where even one token does not fit.
    """
    return within_range(
        unchecked_divergences(
            logits_of,
            n_personas,
            n_tokens,
            pairs,
            token_chunk=token_chunk,
            backend=backend,
            device=device,
        )
    )


@torch.no_grad()
def unchecked_divergences(
    logits_of: Callable[[int, int], Tensor],
    n_personas: int,
    n_tokens: int,
    pairs: Sequence[tuple[int, int]] | Tensor,
    *,
    token_chunk: int | None = None,
    backend: Backend = "auto",
    device: torch.device | str,
) -> Tensor:
    """What `pairwise_divergences` computes, as (3, n, T) JS, KL(P||Q) and KL(Q||P) on the device.

    Nothing here waits for the GPU; whoever copies the result from it passes it to `within_range`.
    """
    device = torch.device(device)
    pairs = _checked_pairs(pairs, n_personas)
    if token_chunk is not None and token_chunk < 1:
        raise InputError(f"token_chunk is {token_chunk}; give a whole number of at least 1.")
    out = torch.empty(3, len(pairs), n_tokens, dtype=torch.float32, device=device)
    if out.numel() == 0:
        return out
    compute = _backend(backend, device, pairs)
    chunk, start = token_chunk or 1, 0
    while start < n_tokens:
        stop = min(start + chunk, n_tokens)
        try:
            logits = logits_of(start, stop)
            out[:, :, start:stop] = compute(logits)
        except torch.cuda.OutOfMemoryError:
            if chunk == 1:
                raise
            stop, logits = start, None
        if stop == start:  # only after its handler has the error let go of the tensors it saw
            chunk //= 2
            torch.cuda.empty_cache()
        elif logits is not None and start == 0 and token_chunk is None:
            chunk = _chunk_for_memory(logits, len(pairs))
        start, logits = stop, None
    return out


def _checked_pairs(pairs: Sequence[tuple[int, int]] | Tensor, n_personas: int) -> Tensor:
    """The pairs as (n, 2) int64, each number in 0..n_personas-1."""
    if not isinstance(pairs, Tensor):
        pairs = torch.from_numpy(np.asarray(pairs, dtype=np.int64))  # ten times a tensor's speed
    table = pairs.to(torch.int64).reshape(-1, 2)
    bad = ((table < 0) | (table >= n_personas)).any(1).nonzero()
    if len(bad):
        row = int(bad[0])
        raise InputError(
            f"Pair {row} is {tuple(table[row].tolist())}; give persona numbers from 0 to "
            f"{n_personas - 1}."
        )
    return table


def _backend(name: str, device: torch.device, pairs: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from logits (N, t, V) to the (3, n, t) divergences of `pairs` (n, 2)."""
    if name == "auto":
        fast = torch.version.cuda and kernels.run_on(device)
        name = "blocked" if device.type == "cpu" else "triton" if fast else "torch"
    if name == "blocked" and device.type == "cpu":
        return blocked.planned(pairs.cpu())
    if name == "torch":
        return partial(reference.divergences, pairs=to_device(pairs, device))
    if name != "triton":
        raise InputError(
            f"The divergence backend {name!r} is unknown; give auto, torch, triton or, on "
            f"a CPU, blocked."
        )
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise InputError(
            "The divergence backend triton needs a GPU; give auto or torch, or set "
            "TRITON_INTERPRET=1 to try it slowly on a CPU."
        )
    from . import fused

    return fused.planned(pairs, device)


def _chunk_for_memory(logits: Tensor, n_pairs: int) -> int:
    """Tokens a chunk, such that it takes at most half of the free memory.

    Counted are the logits as made and as kept, their log-probabilities and probabilities in
    float32, and the sums of the pairs.
    """
    words = logits.shape[0] * logits.shape[2]
    per_token = words * (2 * logits.element_size() + 8) + n_pairs * PAIR_BYTES
    if logits.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(logits.device)
        cached = torch.cuda.memory_reserved(logits.device)
        free += cached - torch.cuda.memory_allocated(logits.device)
    else:
        free = 2 * CPU_CHUNK_BYTES
    return max(1, free // 2 // per_token)


def within_range(out: Tensor) -> PairDivergences:
    """Divergences (3, n, T) with rounding clipped off in place, after a check that it was rounding.

    Raises InputError and ArithmeticError as `pairwise_divergences` does.
    """
    if out.numel() == 0:
        return PairDivergences(*out)
    low, high = out.flatten(1).aminmax(dim=1)
    if not torch.isfinite(low + high).all():
        raise InputError(
            "The logits hold values that are not finite; divergences need finite ones."
        )
    if low.min() < -ROUNDING or high[0] > LN2 + ROUNDING:
        raise ArithmeticError(
            f"Divergences run from {low.tolist()} to {high.tolist()} nats (JS, KL, KL), outside "
            f"their ranges by more than rounding."
        )
    out.clamp_(min=0)
    out[0].clamp_(max=LN2)
    return PairDivergences(*out)
