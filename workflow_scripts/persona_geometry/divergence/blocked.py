"""The same divergences for CPUs: one logarithm a pair-word, on blocks of words that stay in cache.

At each token let c be the mean of the distributions that are compared there, and

    D(x) = sum over words of c psi(x / c - 1),   psi(t) = (1 + t) log1p(t),

the Kullback-Leibler divergence of x from c. Then

    JS(P, Q) = (D(P) + D(Q)) / 2 - D((P + Q) / 2)

so that a pair-word costs one logarithm. No ratio x / c exceeds the number of distributions, and
where all are alike every D is small, so that the difference loses little: JS is within 1e-6 nats of
float64, as a rule within 1e-7, and far closer where a token's distributions are close. Ratios are
float32; the sum of each block is added up in float64.

    KL(P||Q) = sum p log p - sum p log q

is a product of two matrices, which costs next to nothing in float64. What is closer than float32
can tell is held by JS <= Jeffreys / 8, so that equal distributions are exactly 0 apart.

Tokens are shared out among threads, each of which works alone: sharing operations as short as these
takes longer than doing them. Over a large vocabulary the sums of pairs are left to a compiled loop
(`compiled`), which is six times as fast as torch's operations one after the other, once it exists:
that takes two seconds, which small models do not have.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .threads import each_alone

BLOCK_WORDS = 512
COMPILED_WORDS = 8192  # of a vocabulary, from which on the compiled loop is used
COMPILED_BLOCK_WORDS = 4096
AddSums = Callable[[Tensor, Tensor, Tensor], None]
EQUAL = 1e-12  # nats: what the order of a float64 sum may make of nothing


def planned(pairs: Tensor) -> Callable[[Tensor], Tensor]:
    """The function from logits (N, t, V) to (3, n, t) divergences of `pairs` (n, 2), in nats."""
    personas, places = torch.unique(pairs, return_inverse=True)
    own = torch.arange(len(personas)).expand(2, -1)
    firsts, seconds = torch.cat([places.T, own], 1)

    def compute(logits: Tensor) -> Tensor:
        block, add = _sums_of_pairs(logits.shape[2], firsts, seconds)
        out = torch.empty(3, len(pairs), logits.shape[1])

        def work(token: int) -> None:
            rows = logits[:, token].index_select(0, personas)
            out[:, :, token] = _one_token(rows, firsts, seconds, block, add)

        each_alone(work, range(logits.shape[1]))
        return out

    return compute


def _sums_of_pairs(n_words: int, firsts: Tensor, seconds: Tensor) -> tuple[int, AddSums]:
    """Words a block, and the function that adds the sums over a block's words of c psi to `sums`.

    It takes halves of x / c - 1 (N, words) and c (words), both float32, and sums (n + N) float64.
    """
    if n_words >= COMPILED_WORDS:
        from .compiled import add_mixtures

        rows = firsts.contiguous().numpy(), seconds.contiguous().numpy()

        def compiled(halves: Tensor, centre: Tensor, sums: Tensor) -> None:
            add_mixtures(halves.numpy(), centre.numpy(), *rows, sums.numpy())

        return COMPILED_BLOCK_WORDS, compiled

    def plain(halves: Tensor, centre: Tensor, sums: Tensor) -> None:
        t = halves.index_select(0, firsts).add_(halves.index_select(0, seconds))
        psi = t.log1p()
        sums += psi.addcmul_(psi, t).mul_(centre).sum(1)

    return BLOCK_WORDS, plain


def _one_token(
    logits: Tensor, firsts: Tensor, seconds: Tensor, block_words: int, add: AddSums
) -> Tensor:
    """(3, n) divergences of n pairs of the N rows of logits (N, V).

    `firsts` and `seconds` are (n + N) row numbers, those of each row with itself last.
    """
    n_personas, n_pairs = len(logits), len(firsts) - len(logits)
    blocks = logits.split(block_words, 1)
    peak = logits.amax(1, keepdim=True).double()
    mass = torch.zeros_like(peak)
    for block in blocks:
        mass += block.double().sub_(peak).exp_().sum(1, keepdim=True)
    log_mass = peak + mass.log()
    sums = torch.zeros(len(firsts), dtype=torch.float64)
    cross = torch.zeros(n_personas, n_personas, dtype=torch.float64)
    for block in blocks:
        log_probs = block.double().sub_(log_mass)
        probs = log_probs.exp()
        cross.addmm_(probs, log_probs.T)
        centre = probs.mean(0).clamp_(min=1e-300)
        halves = probs.div_(centre).float().sub_(1).clamp_(min=-1 + 2**-24).mul_(0.5)
        add(halves, centre.float(), sums)
    i, j = firsts[:n_pairs], seconds[:n_pairs]
    spread, middle = sums[n_pairs:], sums[:n_pairs]
    kl_pq, kl_qp = cross[i, i] - cross[i, j], cross[j, j] - cross[j, i]
    js = torch.minimum((spread[i] + spread[j]) / 2 - middle, (kl_pq + kl_qp) / 8)
    out = torch.stack([js, kl_pq, kl_qp])
    return out.masked_fill_(out.abs() < EQUAL, 0).float()
