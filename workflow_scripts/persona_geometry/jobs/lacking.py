"""What the store lacks of a shard, and which prompts are measured together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from persona_geometry.jobs.task import Task
from persona_geometry.store.store import Store


@dataclass(frozen=True)
class Lacking:
    """What the store lacks of one item.

    Attributes:
        task: the item's recipe.
        cells: keys of the missing cells.
        pairs: (n, 2) places in the task's cells of the missing pairs.
    """

    task: Task
    cells: list[str]
    pairs: npt.NDArray[np.intp]

    @cached_property
    def paired(self) -> list[str]:
        """The cells that occur in a missing pair, in the task's order."""
        keys = list(self.task.cells)
        return [keys[place] for place in np.unique(self.pairs)]

    @cached_property
    def stored(self) -> list[str]:
        """The stored cells that occur in a missing pair."""
        return sorted(set(self.paired) - set(self.cells))


def lacking_items(store: Store, tasks: Sequence[Task]) -> list[Lacking]:
    """The items of which a cell or a pair is not in the store."""
    found = [Lacking(task, *store.missing(task.item, list(task.cells))) for task in tasks]
    return [one for one in found if one.cells or len(one.pairs)]


def grouped(
    todo: Sequence[Lacking], keep_states: bool, most_forced: int, most_paired: int
) -> Iterator[list[Lacking]]:
    """Cut items, in order, into groups that are measured together.

    Args:
        todo: at least one item.
        keep_states: whether stored cells have their states, so that only new ones are run again.
        most_forced: forward passes of a group.
        most_paired: cells of a group that occur in a missing pair.

    Yields:
        Groups within both limits, or of one item.
    """
    group: list[Lacking] = []
    forced = paired = 0
    for one in todo:
        n_paired = len(one.paired)
        n_forced = len(one.cells) if keep_states else n_paired
        if group and (forced + n_forced > most_forced or paired + n_paired > most_paired):
            yield group
            group, forced, paired = [], 0, 0
        group.append(one)
        forced, paired = forced + n_forced, paired + n_paired
    yield group
