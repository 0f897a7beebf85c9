"""The same divergences in one pass over the logits: a Triton kernel for GPUs.

A program takes one token, a tile of P x Q pairs and a segment of the vocabulary. It reads P + Q
rows of logits for P x Q pairs, and nothing of size pairs x vocabulary ever reaches memory. In bits,
with m = (p + q) / 2 and d = log p - log q, the sums over words are

    KL(P||Q) = sum p d        KL(Q||P) = -sum q d
    JS = sum (p/2) log p + sum (q/2) log q - sum m log m

so that a pair-word costs one logarithm, which bounds the speed: a Hopper multiprocessor takes 16
logarithms or exponentials a cycle, and the P + Q exponentials of a word serve P x Q pairs.

Logarithms and exponentials are the hardware's (errors near 2^-22, relative, or absolute close to
probability 1); sums run in float32 over short segments. Against float64 that leaves about 1e-6
nats in JS, and in KL 1e-6 of its value or of one nat. Closer pairs than that are held by
JS <= Jeffreys / 8, which is sharp in the limit, so that equal distributions are exactly 0 apart.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from persona_geometry.gpu.transfer import to_device

NORMALIZER_BLOCK = 2048
SEGMENT = 1 << 14  # words a program sums: short enough for float32, and for the rows to share L2


@dataclass(frozen=True)
class Tile:
    """Pairs of `rows` x `columns` personas for one program, `block` words at a step.

    A thread keeps the three sums of rows * columns * block / (32 * warps) pair-words in registers.
    `cost` is the microseconds of one tile and token at 152,064 words, as measured on an H200.
    """

    rows: int
    columns: int
    block: int
    warps: int
    cost: float


# Blocks of pairs for many against many, strips for one against many. More words or pairs a thread
# save exponentials and loads but leave too few threads to keep the logarithm units busy.
TILES = (
    Tile(8, 8, 32, 4, 4.2),
    Tile(4, 8, 32, 4, 2.25),
    Tile(1, 8, 128, 4, 1.3),
    Tile(8, 1, 128, 4, 1.5),
)
REGISTERS = 96  # a thread at most, so that five programs of 128 threads share a multiprocessor


@triton.jit
def _exp2(x, HARDWARE: tl.constexpr):
    if HARDWARE:
        return tl.inline_asm_elementwise(
            "ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1
        )
    else:
        return tl.exp2(x)


@triton.jit
def _log2(x, HARDWARE: tl.constexpr):
    # tl.log2 is a long polynomial on NVIDIA GPUs: five times the instructions of all the rest.
    if HARDWARE:
        return tl.inline_asm_elementwise(
            "lg2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1
        )
    else:
        return tl.log2(x)


@triton.jit(do_not_specialize=["n_tokens"])
def _normalizers(
    logits,  # (N, t, V)
    peaks,  # (N, t) float32: largest logit
    masses,  # (N, t) float32: log2 of the sum of exp(logit - peak)
    n_tokens,
    n_words,
    stride_persona,
    stride_token,
    BLOCK: tl.constexpr,
    HARDWARE: tl.constexpr,
):
    row = tl.program_id(0)
    persona = (row // n_tokens).to(tl.int64)
    words = tl.arange(0, BLOCK)
    at = logits + persona * stride_persona + (row % n_tokens).to(tl.int64) * stride_token + words
    peak = tl.full((BLOCK,), -1e30, tl.float32)
    mass = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_words, BLOCK):
        x = tl.load(at + start, mask=words < n_words - start, other=-1e30).to(tl.float32)
        higher = tl.maximum(peak, x)
        mass = mass * _exp2((peak - higher) * 1.4426950408889634, HARDWARE)
        mass += _exp2((x - higher) * 1.4426950408889634, HARDWARE)
        peak = higher
    top = tl.max(peak, 0)
    tl.store(peaks + row, top)
    total = tl.sum(mass * _exp2((peak - top) * 1.4426950408889634, HARDWARE), 0)
    tl.store(masses + row, tl.log2(total))


@triton.jit
def _log_and_half(x, peak, mass, HARDWARE: tl.constexpr):
    """log2 of the probability, and half the probability, of words with logits x."""
    log = (x.to(tl.float32) - peak) * 1.4426950408889634 - mass
    return log, _exp2(tl.maximum(log, -120.0) - 1.0, HARDWARE)


@triton.jit
def _add_words(
    x_p, x_q, peak_p, peak_q, mass_p, mass_q,
    own_p, own_q, mixture, forward, backward, HARDWARE: tl.constexpr,
):  # fmt: skip
    """The five sums with one more word a lane."""
    log_p, half_p = _log_and_half(x_p, peak_p, mass_p, HARDWARE)
    log_q, half_q = _log_and_half(x_q, peak_q, mass_q, HARDWARE)
    m = half_p + half_q
    d = log_p - log_q
    return (
        own_p + half_p * log_p,
        own_q + half_q * log_q,
        mixture + m * _log2(m, HARDWARE),
        forward + half_p * d,
        backward + half_q * d,
    )


# Strides of unknown divisibility make Triton load one word a thread, which is the layout the sums
# are kept in: wider loads would pass through shared memory at every step.
@triton.jit(do_not_specialize=["stride_persona", "stride_token", "n_pairs", "n_tokens"])
def _pair_tiles(
    logits,  # (N, t, V)
    peaks,  # (N, t)
    masses,  # (N, t)
    firsts,  # (tiles, P) int32: persona of each row of a tile
    seconds,  # (tiles, Q) int32: persona of each column
    slots,  # (tiles, P, Q) int32: the pair's number, -1 where none is wanted
    sums,  # (segments, 3, n, t) float32: JS, KL(P||Q), -KL(Q||P), each over 2 ln 2
    n_pairs,
    n_tokens,
    n_words,
    stride_persona,
    stride_token,
    P: tl.constexpr,
    Q: tl.constexpr,
    BLOCK: tl.constexpr,
    SEGMENT: tl.constexpr,
    HARDWARE: tl.constexpr,
):
    tile = tl.program_id(0)
    token = tl.program_id(1)
    p = tl.load(firsts + tile * P + tl.arange(0, P))[:, None, None].to(tl.int64)
    q = tl.load(seconds + tile * Q + tl.arange(0, Q))[None, :, None].to(tl.int64)
    peak_p = tl.load(peaks + p * n_tokens + token)
    peak_q = tl.load(peaks + q * n_tokens + token)
    mass_p = tl.load(masses + p * n_tokens + token)
    mass_q = tl.load(masses + q * n_tokens + token)
    words = tl.arange(0, BLOCK)[None, None, :]
    at = logits + token.to(tl.int64) * stride_token + words
    at_p = at + p * stride_persona
    at_q = at + q * stride_persona

    own_p = tl.zeros((P, 1, BLOCK), tl.float32)
    own_q = tl.zeros((1, Q, BLOCK), tl.float32)
    mixture = tl.zeros((P, Q, BLOCK), tl.float32)
    forward = tl.zeros((P, Q, BLOCK), tl.float32)
    backward = tl.zeros((P, Q, BLOCK), tl.float32)
    whole = n_words // BLOCK * BLOCK
    first = tl.program_id(2) * SEGMENT
    last = tl.minimum(first + SEGMENT, whole)
    # The next words are on their way while these are worked on; the last step reads its own again.
    x_p = tl.load(at_p + first, mask=words < n_words - first, other=0)
    x_q = tl.load(at_q + first, mask=words < n_words - first, other=0)
    for start in range(first + BLOCK, last + BLOCK, BLOCK):
        ahead = tl.minimum(start, last - BLOCK)
        next_p = tl.load(at_p + ahead)
        next_q = tl.load(at_q + ahead)
        own_p, own_q, mixture, forward, backward = _add_words(
            x_p, x_q, peak_p, peak_q, mass_p, mass_q,
            own_p, own_q, mixture, forward, backward, HARDWARE,
        )  # fmt: skip
        x_p, x_q = next_p, next_q
    if (whole < n_words) & (whole < first + SEGMENT):
        x_p = tl.load(at_p + whole, mask=words < n_words - whole, other=-1e4)
        x_q = tl.load(at_q + whole, mask=words < n_words - whole, other=-1e4)
        own_p, own_q, mixture, forward, backward = _add_words(
            x_p, x_q, peak_p, peak_q, mass_p, mass_q,
            own_p, own_q, mixture, forward, backward, HARDWARE,
        )  # fmt: skip

    cell = tl.arange(0, P)[:, None] * Q + tl.arange(0, Q)[None, :]
    slot = tl.load(slots + tile * (P * Q) + cell).to(tl.int64)
    wanted = slot >= 0
    slot += tl.program_id(2).to(tl.int64) * 3 * n_pairs
    js = (tl.sum(own_p, 2) + tl.sum(own_q, 2) - tl.sum(mixture, 2)) * 0.5
    tl.store(sums + slot * n_tokens + token, js, mask=wanted)
    slot += n_pairs
    tl.store(sums + slot * n_tokens + token, tl.sum(forward, 2), mask=wanted)
    slot += n_pairs
    tl.store(sums + slot * n_tokens + token, tl.sum(backward, 2), mask=wanted)


@dataclass(frozen=True)
class Tiling:
    """Tiles of P x Q persona numbers that cover a list of pairs.

    `firsts` (tiles, P) and `seconds` (tiles, Q) are persona numbers, `slots` (tiles, P, Q) the
    place of each pair in the list, -1 for a cell that no pair needs; all int32.
    """

    firsts: np.ndarray
    seconds: np.ndarray
    slots: np.ndarray


def tiling(pairs: np.ndarray, n_rows: int, n_columns: int) -> Tiling:
    """Cover distinct `pairs` (n, 2) with tiles of n_rows first and n_columns second personas.

    The first personas are taken n_rows at a time; each such group is paired with exactly the
    second personas that some member needs, n_columns at a time.
    """
    span = int(pairs[:, 1].max()) + 1
    personas, row = np.unique(pairs[:, 0], return_inverse=True)
    group, row = np.divmod(row, n_rows)
    needs, need = np.unique(group * span + pairs[:, 1], return_inverse=True)
    need_group, need_second = np.divmod(needs, span)
    sizes = np.bincount(need_group)
    tiles = -(-sizes // n_columns)
    rank = np.arange(len(needs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tile = np.repeat(np.cumsum(tiles) - tiles, sizes) + rank // n_columns
    column = rank % n_columns

    padded = np.pad(personas, (0, -len(personas) % n_rows), mode="edge").reshape(-1, n_rows)
    firsts = np.repeat(padded, tiles, axis=0)
    seconds = np.repeat(need_second[column == 0][:, None], n_columns, axis=1)
    seconds[tile, column] = need_second
    slots = np.full((len(firsts), n_rows, n_columns), -1)
    slots[tile[need], row, column[need]] = np.arange(len(pairs))
    return Tiling(*(x.astype(np.int32) for x in (firsts, seconds, slots)))


def cheapest(pairs: np.ndarray) -> tuple[Tile, Tiling]:
    """The tile, and the tiling with it, that takes the least time for distinct `pairs` (n, 2)."""
    tilings = [tiling(pairs, tile.rows, tile.columns) for tile in TILES]
    costs = [len(t.slots) * tile.cost for t, tile in zip(tilings, TILES, strict=True)]
    best = int(np.argmin(costs))
    return TILES[best], tilings[best]


def planned(pairs: Tensor, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The function from logits (N, t, V) to (3, n, t) divergences of `pairs` (n, 2), in nats.

    Pairs named more than once are computed once.
    """
    table = pairs.cpu().numpy()
    span = int(table.max()) + 1
    keys, place = np.unique(table[:, 0] * span + table[:, 1], return_inverse=True)
    distinct = np.stack(np.divmod(keys, span), axis=1)
    tile, chosen = cheapest(distinct)
    parts = (chosen.firsts, chosen.seconds, chosen.slots, place)
    *arrays, order = [to_device(torch.from_numpy(x), device) for x in parts]

    def compute(logits: Tensor) -> Tensor:
        return _launch(logits, len(distinct), tile, *arrays)[:, order]

    return compute


def _launch(
    logits: Tensor,
    n_pairs: int,
    tile: Tile,
    firsts: Tensor,
    seconds: Tensor,
    slots: Tensor,
) -> Tensor:
    """(3, n_pairs, t) divergences of the pairs that `slots` numbers."""
    if logits.stride(2) != 1:
        logits = logits.contiguous()
    n_personas, n_tokens, n_words = logits.shape
    hardware = logits.is_cuda and torch.version.cuda is not None
    peaks, masses = logits.new_empty(2, n_personas, n_tokens, dtype=torch.float32)
    _normalizers[(n_personas * n_tokens,)](
        logits, peaks, masses, n_tokens, n_words, logits.stride(0), logits.stride(1),
        BLOCK=NORMALIZER_BLOCK, HARDWARE=hardware, num_warps=4,
    )  # fmt: skip
    segments = triton.cdiv(n_words, SEGMENT)
    sums = logits.new_empty(segments, 3, n_pairs, n_tokens, dtype=torch.float32)
    _pair_tiles[(len(slots), n_tokens, segments)](
        logits, peaks, masses, firsts, seconds, slots, sums, n_pairs, n_tokens, n_words,
        logits.stride(0), logits.stride(1), P=tile.rows, Q=tile.columns, BLOCK=tile.block,
        SEGMENT=SEGMENT, HARDWARE=hardware, num_warps=tile.warps,
        maxnreg=REGISTERS,
    )  # fmt: skip
    js, kl_pq, kl_qp = sums.sum(0).mul_(2 * math.log(2))
    kl_qp.neg_()
    torch.minimum(js, (kl_pq + kl_qp) / 8, out=js)
    return torch.stack([js, kl_pq, kl_qp])
