"""What the store lacks of a shard, and which prompts are measured together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
        top_tokens: the cells whose likeliest next tokens are missing.
    """

    task: Task
    cells: list[str]
    pairs: npt.NDArray[np.intp]
    top_tokens: list[str] = field(default_factory=list)

    @cached_property
    def paired(self) -> list[str]:
        """The cells that occur in a missing pair, in the task's order."""
        keys = list(self.task.cells)
        return [keys[place] for place in np.unique(self.pairs)]

    @cached_property
    def needed(self) -> list[str]:
        """The cells whose states are needed, for a missing pair or top tokens."""
        return list(dict.fromkeys([*self.paired, *self.top_tokens]))

    @cached_property
    def stored(self) -> list[str]:
        """The stored ones among them."""
        return sorted(set(self.needed) - set(self.cells))

    def forced(self, keep_states: bool) -> list[str]:
        """The cells that the model is run over, stored ones too where their states are not kept."""
        return list(dict.fromkeys([*self.cells, *([] if keep_states else self.needed)]))


def lacking_of(store: Store, task: Task) -> Lacking:
    """What the store lacks of one item, which may be nothing."""
    return Lacking(
        task,
        *store.missing(task.item, list(task.cells)),
        store.missing_top_tokens(task.item, task.top_tokens),
    )


def lacking_items(store: Store, tasks: Sequence[Task]) -> list[Lacking]:
    """The items of which a cell, a pair or a cell's top tokens are not in the store."""
    found = [lacking_of(store, task) for task in tasks]
    return [one for one in found if one.cells or len(one.pairs) or one.top_tokens]


def grouped(
    todo: Sequence[Lacking], keep_states: bool, most_forced: int, most_needed: int
) -> Iterator[list[Lacking]]:
    """Cut items, in order, into groups that are measured together.

    Args:
        todo: at least one item.
        keep_states: whether stored cells have their states, so that only new ones are run again.
        most_forced: forward passes of a group.
        most_needed: cells of a group whose states are needed.

    Yields:
        Groups within both limits, or of one item.
    """
    group: list[Lacking] = []
    forced = needed = 0
    for one in todo:
        n_needed, n_forced = len(one.needed), len(one.forced(keep_states))
        if group and (forced + n_forced > most_forced or needed + n_needed > most_needed):
            yield group
            group, forced, needed = [], 0, 0
        group.append(one)
        forced, needed = forced + n_forced, needed + n_needed
    yield group
