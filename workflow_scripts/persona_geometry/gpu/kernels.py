"""Whether the Triton kernels can run here; without them plain torch does the same, more slowly."""

import os
from functools import cache
from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@cache
def lacking() -> str:
    """What keeps Triton from compiling kernels for this machine's GPU; empty where nothing does."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not (os.environ.get("CC") or which("gcc") or which("clang")):
        return "Triton needs a C compiler (gcc, clang, or what CC names)"
    return ""


def run_on(device: "torch.device") -> bool:
    """Whether kernels run on a device."""
    return device.type == "cuda" and not lacking()
