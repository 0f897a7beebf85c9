"""What a machine lacks for Triton's kernels, and that plain torch is used there."""

import sys
from collections.abc import Iterator

import pytest
import torch

from persona_geometry.gpu import kernels

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    kernels.lacking.cache_clear()
    yield
    kernels.lacking.cache_clear()


def test_a_compiler_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda _name: object())
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(kernels, "which", lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    assert kernels.lacking() == "" and kernels.run_on(CUDA)
    assert not kernels.run_on(torch.device("cpu"))
    kernels.lacking.cache_clear()
    monkeypatch.setattr(kernels, "which", lambda _name: None)
    assert "C compiler" in kernels.lacking() and not kernels.run_on(CUDA)
    kernels.lacking.cache_clear()
    monkeypatch.setenv("CC", sys.executable)
    assert kernels.run_on(CUDA)


def test_triton_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "find_spec", lambda _name: None)
    assert "Triton is not installed" in kernels.lacking() and not kernels.run_on(CUDA)
