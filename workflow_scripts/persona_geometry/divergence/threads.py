"""Short operations on a CPU: threads that each do their own take less than sharing every one."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Made = TypeVar("Made")


def each_alone(work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What `work` makes of each item, on as many threads as torch has, without gradients."""
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "", torch.set_num_threads, (1,)) as pool:
            return list(pool.map(torch.inference_mode()(work), items))
    finally:
        torch.set_num_threads(threads)
