"""Which GPU job serves which prompt.

A GPU job takes a shard of prompts and leaves a receipt: a file named by, and listing, the cells
it certifies (and their top tokens, where those are kept), with every pair among the cells of one
prompt. Two rules keep partial reruns exact:

* A prompt is served by the oldest receipt that covers its cells, whatever else that receipt
  covers. So removing, renaming or reordering personas, or changing the shard size, asks for no
  GPU job.
* Planned shards depend on the recipes (and, where nothing is submitted, on the number of GPUs),
  never on what exists. So the DAG stays the same while its jobs finish, although every job of a
  scheduler parses it again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from persona_geometry.study.config import Study
from persona_geometry.study.recipes import Item, digest

WORTH_A_LOAD = 20
"""Prompts below which a job more would load the model for longer than it scores."""


@dataclass(frozen=True)
class Sharding:
    """How a study's prompts are served.

    Attributes:
        shards: shard to its items, for all that the items are cut into.
        planned: those of them that are still to be computed.
        shard_of: prompt name to the shard, finished or planned, that serves it.
    """

    shards: dict[str, list[Item]]
    planned: dict[str, list[Item]]
    shard_of: dict[str, str]


@dataclass(frozen=True)
class Schedule:
    """The GPU jobs of a study.

    Attributes:
        items: prompt name to recipe, in the order of the prompt table.
        cells: how the prompts' cells are served.
        responses: how their responses are, where a job of their own generates them; empty where
            the scoring jobs do.
    """

    items: dict[str, Item]
    cells: Sharding
    responses: Sharding

    def response_shards(self, items: Iterable[Item]) -> list[str]:
        """The shards, finished or planned, that serve the responses of these items."""
        shard_of = self.responses.shard_of
        return sorted({shard_of[item.prompt.name] for item in items if shard_of})

    @property
    def gpu_jobs(self) -> int:
        """How many GPU jobs the study still needs."""
        waiting = [item for group in self.cells.planned.values() for item in group]
        generating = set(self.response_shards(waiting)) & set(self.responses.planned)
        return len(self.cells.planned) + len(generating)


def schedule_jobs(
    study: Study,
    items: Sequence[Item],
    cell_receipts: Mapping[str, frozenset[str]],
    response_receipts: Mapping[str, frozenset[str]],
    at_once: int = 1,
) -> Schedule:
    """Find the GPU jobs of a study from its recipes and the receipts in the store.

    Args:
        study: its prompts a GPU job are the most that one takes.
        items: its recipes.
        cell_receipts, response_receipts: shard to certified keys, oldest first (`Store.receipts`).
        at_once: GPU jobs that this machine runs side by side, which share the prompts.
    """
    responses = Sharding({}, {}, {})
    if study.generation.backend == "vllm":
        responses = shard_responses(items, response_receipts)
    per_job = prompts_a_job(len(items), study.execution.prompts_per_gpu_job, at_once)
    by_prompt = {item.prompt.name: item for item in items}
    return Schedule(by_prompt, shard_cells(items, per_job, cell_receipts), responses)


def prompts_a_job(n_prompts: int, most: int, at_once: int) -> int:
    """Prompts of a GPU job: at most so many, fewer where jobs that run at once share them evenly.

    None is shared below `WORTH_A_LOAD`.
    """
    jobs = max(1, min(at_once, n_prompts // WORTH_A_LOAD))
    return min(most, -(-n_prompts // jobs))


def planned_items(schedule: Schedule) -> list[str]:
    """Keys of the items whose cells are still to be computed."""
    return [item.key for group in schedule.cells.planned.values() for item in group]


def first_names(items: Sequence[Item], most: int = 5) -> str:
    """The prompts of some items, the first few by name, for a message."""
    names = [item.prompt.name for item in items]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def shard_cells(
    items: Sequence[Item], per_job: int, receipts: Mapping[str, frozenset[str]]
) -> Sharding:
    """Cut items into shards of `per_job` prompts and match them with the existing receipts.

    Args:
        items: the study's recipes.
        per_job: prompts a GPU job takes.
        receipts: shard to certified cells, oldest first (`Store.receipts`).
    """
    return _shard(items, per_job, receipts, lambda item: item.keys)


def shard_responses(items: Sequence[Item], receipts: Mapping[str, frozenset[str]]) -> Sharding:
    """The same for responses: one job generates all of them."""
    return _shard(items, len(items), receipts, lambda item: {item.response})


def shard_name(keys: Iterable[str]) -> str:
    """Name of the shard, and of the receipt, that certifies these keys and no others."""
    return digest(shard=sorted(keys))


def _shard(
    items: Sequence[Item],
    per_job: int,
    receipts: Mapping[str, frozenset[str]],
    keys_of: Callable[[Item], set[str]],
) -> Sharding:
    shards: dict[str, list[Item]] = {}
    planned_for: dict[str, str] = {}
    for start in range(0, len(items), per_job):
        group = list(items[start : start + per_job])
        shard = shard_name(key for item in group for key in keys_of(item))
        shards[shard] = group
        planned_for.update({item.prompt.name: shard for item in group})
    holders: dict[str, list[str]] = defaultdict(list)
    for shard, certified in receipts.items():
        for key in certified:
            holders[key].append(shard)
    shard_of = {}
    for item in items:
        keys = keys_of(item)
        candidates = holders.get(next(iter(keys)), ())
        shard_of[item.prompt.name] = next(
            (shard for shard in candidates if keys <= receipts[shard]),
            planned_for[item.prompt.name],
        )
    open_shards = set(shard_of.values()) - set(receipts)
    planned = {shard: group for shard, group in shards.items() if shard in open_shards}
    return Sharding(shards, planned, shard_of)
