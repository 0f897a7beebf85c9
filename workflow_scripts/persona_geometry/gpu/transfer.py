"""Tensors on their way to and from a GPU, without stopping either side.

A copy between a GPU and ordinary memory waits until the GPU has done all that was asked of it; one
through pinned memory takes its turn in the GPU's queue while the program goes on.
"""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor


def as_array(tensor: Tensor) -> np.ndarray:
    """A CPU tensor as an array; bfloat16, which NumPy does not know, as uint16 bit patterns."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def as_tensor(array: np.ndarray) -> Tensor:
    """The tensor that `as_array` was given."""
    if array.dtype == np.uint16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy of a CPU tensor on a device."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_device_aside(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy of a CPU tensor on a device that is made beside what the GPU was asked before.

    It is made in a stream of its own; whoever uses it in another passes it through `used_here`.
    """
    if device.type != "cuda":
        return tensor.to(device)
    with torch.cuda.stream(_aside(device)):
        return tensor.to(device)


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def used_here(tensor: Tensor) -> Tensor:
    """The tensor, whose memory now also waits for the current stream before it is used again."""
    if tensor.is_cuda:
        tensor.record_stream(torch.cuda.current_stream(tensor.device))
    return tensor


def to_host(tensors: Mapping[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
    """Start copying tensors to host memory; what is returned waits for the copies and gives them.

    The waiting may be done by any thread, any number of times.
    """
    host: dict[str, Tensor] = {}
    copied = []
    for name, tensor in tensors.items():
        host[name] = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
        host[name].copy_(tensor, non_blocking=True)
        if tensor.is_cuda:
            copied.append(torch.cuda.current_stream(tensor.device).record_event())

    def arrived() -> dict[str, Tensor]:
        for event in copied:
            event.synchronize()
        return host

    return arrived
