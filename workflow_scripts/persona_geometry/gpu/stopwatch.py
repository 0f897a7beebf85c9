"""Seconds a stage, also of work that a GPU does behind the program's back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Stopwatch:
    """Adds the seconds of `with` blocks to named stages.

    `program` counts the program's own time. `device` counts a GPU's, from the first operation that
    a block queues to the last; it is added by `settle`. Without a GPU the two are the same.
    """

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self._queued: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def program(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - started

    @contextmanager
    def device(self, stage: str, device: "torch.device") -> Iterator[None]:
        if device.type != "cuda":
            with self.program(stage):
                yield
            return
        import torch

        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        stream = torch.cuda.current_stream(device)
        started.record(stream)
        yield
        ended.record(stream)
        self._queued.append((stage, started, ended))

    def settle(self) -> None:
        """Wait for the GPU and add the seconds of what it was given."""
        for stage, started, ended in self._queued:
            ended.synchronize()
            self.seconds[stage] += started.elapsed_time(ended) / 1e3
        self._queued.clear()
