"""Which GPU job serves which prompt.

A GPU job takes a shard of prompts and leaves a receipt: a file named by, and listing, the cells
it certifies, with every pair among those of one prompt. Two rules keep partial reruns exact:

* A prompt is served by the oldest receipt that covers its cells, whatever else that receipt
  covers. So removing, renaming or reordering personas, or changing the shard size, asks for no
  GPU job.
* Planned shards depend on the recipes only, never on what exists. So the DAG stays the same while
  its jobs finish, although every job parses it again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from persona_geometry.study.recipes import Item, digest


@dataclass(frozen=True)
class Sharding:
    """How a study's prompts are served.

    Attributes:
        planned: shard to its items, for the shards without a receipt.
        shard_of: prompt name to the shard, finished or planned, that serves it.
    """

    planned: dict[str, list[Item]]
    shard_of: dict[str, str]


def shard_cells(
    items: Sequence[Item], per_job: int, receipts: Mapping[str, frozenset[str]]
) -> Sharding:
    """Cut items into shards of `per_job` prompts and match them with the existing receipts.

    Args:
        items: the study's recipes.
        per_job: prompts a GPU job takes.
        receipts: shard to certified cells, oldest first (`Store.receipts`).
    """
    return _shard(items, per_job, receipts, lambda item: set(item.cells.values()))


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
    return Sharding({s: group for s, group in shards.items() if s in open_shards}, shard_of)
