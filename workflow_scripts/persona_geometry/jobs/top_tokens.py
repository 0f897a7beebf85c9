"""The likeliest next tokens of each persona, taken from logits that are in hand."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, pad

BLOCK = 512
"""Words whose largest is found first, which takes an eighth of a partial sort of all of them."""


class TopTokensOf:
    """The k likeliest next tokens of some cells at the T tokens of a response.

    Nothing here waits for the GPU.

    Attributes:
        cells: keys of the n cells.
        ids: (n, T, k) int32 token ids, likeliest first, on the logits' device.
        log_probabilities: (n, T, k) float16, in nats.
    """

    def __init__(
        self, cells: Sequence[str], n_tokens: int, k: int, device: torch.device | str
    ) -> None:
        shape = len(cells), n_tokens, k
        self.cells = list(cells)
        self.ids = torch.zeros(shape, dtype=torch.int32, device=device)
        self.log_probabilities = torch.zeros(shape, dtype=torch.float16, device=device)

    def take(self, cells: Sequence[str], start: int, logits: Tensor) -> None:
        """Keep the largest of m cells' logits (m, t, V) at tokens start..start+t-1."""
        stop = start + logits.shape[1]
        # A GPU is given few kernels, a CPU what its cache holds.
        at_once = logits.split(len(logits) if logits.is_cuda else 1)
        found = torch.cat([largest(some, self.ids.shape[-1]) for some in at_once])
        for cell, own, ids in zip(cells, logits, found, strict=True):
            row = self.cells.index(cell)
            self.ids[row, start:stop] = ids
            log_p = log_softmax(own, -1, dtype=torch.float32)
            self.log_probabilities[row, start:stop] = log_p.gather(-1, ids)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {"ids": self.ids, "log_probabilities": self.log_probabilities}


def largest(logits: Tensor, k: int) -> Tensor:
    """Places (..., k) of the k largest of (..., V) logits, the largest first.

    They are in the k blocks whose own largest are the largest.
    """
    blocks = pad(logits, (0, -logits.shape[-1] % BLOCK), value=-torch.inf).unflatten(
        -1, (-1, BLOCK)
    )
    chosen = blocks.amax(-1).topk(min(k, blocks.shape[-2])).indices
    candidates = blocks.gather(-2, chosen[..., None].expand(*chosen.shape, BLOCK)).flatten(-2)
    places = candidates.topk(k).indices
    words: Tensor = chosen.gather(-1, places // BLOCK) * BLOCK + places % BLOCK
    return words
