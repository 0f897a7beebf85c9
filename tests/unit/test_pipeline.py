"""Groups are read ahead, measured and written behind, in order; what is grouped fits."""

import threading

import numpy as np
import pytest

from persona_geometry.jobs.lacking import Lacking, grouped
from persona_geometry.jobs.pipeline import AHEAD, PendingWrite, run_ahead
from persona_geometry.jobs.task import Task


def pending(prompt: str, events: list[str], arrived: threading.Event | None = None) -> PendingWrite:
    def wait() -> dict:
        assert arrived is None or arrived.wait(20)
        return {}

    return PendingWrite(prompt, wait, lambda _tensors: events.append(f"wrote {prompt}"))


def test_a_group_is_prepared_while_the_one_before_it_is_measured() -> None:
    prepared = {n: threading.Event() for n in range(4)}
    events: list[str] = []

    def prepare(group: int) -> int:
        prepared[group].set()
        return group

    def measure(group: int) -> list[list[PendingWrite]]:
        if group + 1 in prepared:
            assert prepared[group + 1].wait(20)
        assert group + 2 not in prepared or not prepared[group + 2].is_set()
        return [[pending(f"{group}a", events)], [pending(f"{group}b", events)] * 2]

    stored: list[str] = []
    run_ahead(range(4), prepare, measure, stored.append)
    assert stored == [f"{group}{prompt}" for group in range(4) for prompt in "ab"]
    assert sorted(events) == sorted(f"wrote {n}{p}" for n in range(4) for p in "abb")


def test_measuring_goes_on_before_writes_arrive_but_not_far() -> None:
    arrived, measured = threading.Event(), []

    def measure(group: int) -> list[list[PendingWrite]]:
        assert len(measured) <= AHEAD or arrived.is_set()
        measured.append(group)
        if len(measured) == AHEAD + 1:
            threading.Timer(0.1, arrived.set).start()
        return [[pending(str(group), [], arrived)]]

    run_ahead(range(6), lambda group: group, measure, lambda _prompt: None)
    assert measured == list(range(6))


def test_a_prompt_is_reported_while_the_next_is_measured() -> None:
    """So that the first estimate of the time left rests on one prompt's time, not on three's."""
    told = {n: threading.Event() for n in range(3)}

    def measure(group: int) -> list[list[PendingWrite]]:
        assert group == 0 or told[group - 1].wait(20)
        return [[pending(str(group), [])]]

    run_ahead(range(3), lambda group: group, measure, lambda prompt: told[int(prompt)].set())
    assert all(event.is_set() for event in told.values())


def test_a_failed_write_ends_the_run_and_others_are_finished() -> None:
    events: list[str] = []

    def fail(_tensors: dict) -> None:
        raise OSError(28, "No space left on device")

    def measure(group: int) -> list[list[PendingWrite]]:
        broken = [PendingWrite("1", dict, fail)] if group == 1 else []
        return [[*broken, pending(str(group), events)]]

    with pytest.raises(OSError, match="No space"):
        run_ahead(range(9), lambda group: group, measure, lambda _prompt: None)
    assert "wrote 1" in events and len(events) < 9


def lacking(n_cells: int, n_paired: int) -> Lacking:
    cells = [f"c{i}" for i in range(n_paired)]
    task = Task("q", "?", "item", "response", dict.fromkeys(cells, ""))
    return Lacking(task, cells[:n_cells], np.array([[0, i] for i in range(1, n_paired)]))


@pytest.mark.parametrize(
    ("keep_states", "most_forced", "most_needed", "sizes"),
    [
        (True, 2, 100, [2, 2, 1]),  # one new cell each
        (True, 100, 9, [2, 2, 1]),  # four cells in a pair each
        (False, 8, 100, [2, 2, 1]),  # all four must be run again
        (True, 1, 100, [1] * 5),
        (False, 1, 1, [1] * 5),  # an item alone may exceed both
    ],
)
def test_groups_keep_within_both_limits(
    keep_states: bool, most_forced: int, most_needed: int, sizes: list[int]
) -> None:
    todo = [lacking(1, 4)] * 5
    groups = list(grouped(todo, keep_states, most_forced, most_needed))
    assert [len(group) for group in groups] == sizes
