"""The order of work: reading ahead, measuring, and writing behind, each beside the others.

    reader thread      prepare(1)  prepare(2)  prepare(3)
    calling thread                 measure(1)  measure(2)  measure(3)
    writer threads                             finish(1)   finish(2)   finish(3)

Measuring queues a GPU's work and does not wait for it; whoever finishes a write waits. The calling
thread stays at most AHEAD groups before the writers.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

WRITERS = 8
AHEAD = 2

Group = TypeVar("Group")
Prepared = TypeVar("Prepared")


@dataclass(frozen=True)
class PendingWrite:
    """A result on its way from the GPU to the store.

    Attributes:
        prompt: name of the prompt that it belongs to.
        arrived: waits until the result is in host memory and gives its tensors.
        store: checks and stores them.
    """

    prompt: str
    arrived: "Callable[[], dict[str, Tensor]]"
    store: "Callable[[dict[str, Tensor]], None]"

    def finish(self) -> None:
        self.store(self.arrived())


def run_ahead(
    groups: Sequence[Group],
    prepare: Callable[[Group], Prepared],
    measure: Callable[[Prepared], list[list[PendingWrite]]],
    stored: Callable[[str], None],
) -> None:
    """Prepare, measure and store groups of prompts, in order.

    Args:
        groups: at least one.
        prepare: reads what measuring a group needs; runs while the group before it is measured.
        measure: queues a group's work and returns the writes that wait for it, a list a prompt.
        stored: told the name of each prompt once it is stored whole, in order, from a thread.

    Raises:
        Exception: the first failure of any of them; writes that were pending are finished.
    """
    unfinished: deque[Future[None]] = deque()
    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(WRITERS) as writers,
        ThreadPoolExecutor(1) as reporter,  # so that a prompt is reported when it is stored
    ):
        coming = reader.submit(prepare, groups[0])
        for following in range(1, len(groups) + 1):
            prepared = coming.result()
            if following < len(groups):
                coming = reader.submit(prepare, groups[following])
            pending = measure(prepared)
            group = [
                (of_prompt[0].prompt, [writers.submit(write.finish) for write in of_prompt])
                for of_prompt in pending
            ]
            unfinished.append(reporter.submit(_wait, group, stored))
            if len(unfinished) > AHEAD:
                unfinished.popleft().result()
        while unfinished:
            unfinished.popleft().result()


def _wait(group: list[tuple[str, list[Future[None]]]], stored: Callable[[str], None]) -> None:
    for prompt, writes in group:
        for write in writes:
            write.result()
        stored(prompt)
