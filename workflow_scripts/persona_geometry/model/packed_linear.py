"""Matrix products of a model on a CPU by oneDNN, on weights laid out for it once.

PyTorch multiplies float32 matrices by MKL, which on AMD processors reaches half to three quarters
of what oneDNN does, and lays the weights out anew at every product. A layer is replaced only where,
tried on random input, it repeats what the model's own code gives.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

ROWS = 256  # the layout serves products of 20 rows, as in generation, and of thousands
TOLERANCE = 1e-5  # relative: a few roundings of float32


class PackedLinear(nn.Linear):
    """A linear layer whose weight is held in oneDNN's layout.

    Models whose own code multiplies by a layer's `weight`, as Mamba's, are given it in the usual
    layout, made anew at each use.
    """

    def __init__(self, layer: nn.Linear, *, keep_weight: bool) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
        self.bias = layer.bias
        self.kept = layer.weight if keep_weight else None
        self.eval()

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return self.packed.to_dense() if self.kept is None else self.kept

    def forward(self, input: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            input, self.packed, self.bias, "none", [], ""
        )
        return product


def pack(network: Any) -> None:
    """Replace the float32 linear layers of a network on a CPU, in place.

    The head's weight is kept beside its packed copy, for it may be the embedding's too.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops, "mkldnn")):
        return
    head = network.get_output_embeddings()
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and layer.weight.dtype == torch.float32:
                packed = _tried(layer, keep_weight=layer is head)
                if packed is not None:
                    setattr(parent, name, packed)


def _tried(layer: nn.Linear, *, keep_weight: bool) -> PackedLinear | None:
    """The layer packed, where it gives what the layer gives."""
    rows = torch.randn(2, layer.in_features, generator=torch.Generator().manual_seed(0))
    expected = linear(rows, layer.weight, layer.bias)
    try:
        packed = PackedLinear(layer, keep_weight=keep_weight)
        got = packed(rows)
    except (RuntimeError, AttributeError):
        return None
    return packed if (got - expected).norm() <= TOLERANCE * expected.norm() else None
