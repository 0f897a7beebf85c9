"""The likeliest next tokens of each persona, taken from logits that are in hand."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, pad

from persona_geometry.divergence.threads import each_alone

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
        k, tokens = self.ids.shape[-1], slice(start, start + logits.shape[1])
        if logits.is_cuda:  # few kernels, and the probabilities of one cell at a time
            ids = largest(logits, k)
            values = torch.stack([_log_p(*of_cell) for of_cell in zip(logits, ids, strict=True)])
        else:
            found = each_alone(lambda row: _likeliest(row, k), logits.flatten(0, 1))
            ids, values = (
                torch.stack(some).unflatten(0, logits.shape[:2])
                for some in zip(*found, strict=True)
            )
        for cell, own_ids, own_values in zip(cells, ids, values, strict=True):
            row = self.cells.index(cell)
            self.ids[row, tokens] = own_ids
            self.log_probabilities[row, tokens] = own_values

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {"ids": self.ids, "log_probabilities": self.log_probabilities}


def _likeliest(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    ids = largest(logits, k)
    return ids, _log_p(logits, ids)


def _log_p(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probabilities (..., k) of some words, of logits (..., V)."""
    return log_softmax(logits, -1, dtype=torch.float32).gather(-1, ids)


def largest(logits: Tensor, k: int) -> Tensor:
    """Places (..., k) of the k largest of (..., V) logits, the largest first.

    They are in the k blocks whose own largest are the largest.
    """
    lacking = -logits.shape[-1] % BLOCK
    whole = pad(logits, (0, lacking), value=-torch.inf) if lacking else logits
    blocks = whole.unflatten(-1, (-1, BLOCK))
    chosen = blocks.amax(-1).topk(min(k, blocks.shape[-2])).indices
    candidates = blocks.gather(-2, chosen[..., None].expand(*chosen.shape, BLOCK)).flatten(-2)
    places = candidates.topk(k).indices
    words: Tensor = chosen.gather(-1, places // BLOCK) * BLOCK + places % BLOCK
    return words
