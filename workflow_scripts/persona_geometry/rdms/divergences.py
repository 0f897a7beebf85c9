"""Divergences: of each prompt, stacked and averaged, and of one pair token by token."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import PromptDivergences
from persona_geometry.rdms.rdm import Rdm, RdmStack, checked
from persona_geometry.rdms.triangle import square
from persona_geometry.store.store import Store

REMEDY = "run 'python workflow_scripts/manage_store.py verify'"


def stacks_of_prompts(
    prompts: Mapping[str, PromptDivergences], estimator: str
) -> dict[str, RdmStack]:
    """Cutoff to a stack over prompts of one kind of divergence, in nats.

    Args:
        prompts: each prompt's name, and what was published of it, of the same personas.
        estimator: "js" or "half_jeffreys".

    Raises:
        InputError: a prompt's matrix is no RDM. Such values are never written.
    """
    first = next(iter(prompts.values()))
    stacks = {}
    for place, cutoff in enumerate(first.cutoffs):
        rdms = [
            checked(
                prompt.personas,
                getattr(prompt, estimator)[place],
                f"Prompt '{name}', cutoff {cutoff}",
                kind=estimator,
                remedy=REMEDY,
            )
            for name, prompt in prompts.items()
        ]
        vectors = np.stack([rdm.vector for rdm in rdms])
        stacks[cutoff] = RdmStack(tuple(first.personas), tuple(prompts), vectors)
    return stacks


def mean_rdms(stacks: Mapping[str, RdmStack]) -> dict[str, Rdm]:
    """Cutoff to the RDM averaged over prompts."""
    return {cutoff: stack.mean() for cutoff, stack in stacks.items()}


def mean_kl(prompts: Mapping[str, PromptDivergences]) -> np.ndarray:
    """(N, N) KL(row‖column) over the whole responses, averaged over prompts, in nats.

    Raises:
        InputError: a value that is not a number. Such values are never written.
    """
    total = np.mean([prompt.kl[-1] for prompt in prompts.values()], axis=0)
    if not np.isfinite(total).all():
        raise InputError(f"A prompt's KL divergence is not a number; {REMEDY}.")
    return np.asarray(total)


def token_js(store: Store, item: str, cells: Sequence[str]) -> np.ndarray:
    """JS divergences of every two cells of an item at every scored token, in nats.

    Args:
        store: the store.
        item: the item's key.
        cells: keys of N of its cells.

    Returns:
        (N(N-1)/2, T) float32, row by row above the diagonal.

    Raises:
        InputError: the store does not have them all.
    """
    place = {cell: n for n, cell in enumerate(cells)}
    row_of = square(np.arange(len(cells) * (len(cells) - 1) // 2), len(cells)).astype(int)
    found: dict[int, np.ndarray] = {}
    for path in store.pair_blocks(item):
        block = store.read_pairs(path)
        places = np.array([place.get(cell, -1) for cell in block.cells])[block.pairs]
        for row in np.flatnonzero((places >= 0).all(1)):
            found[row_of[tuple(places[row])]] = block.js[row]
    if len(found) < len(cells) * (len(cells) - 1) // 2:
        raise _no_longer(store)
    return np.stack([found[row] for row in sorted(found)])


def token_divergences(
    store: Store, item: str, first: str, second: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divergences of two cells of an item at every scored token, in nats.

    Args:
        store: the store.
        item: the item's key.
        first, second: keys of two of its cells.

    Returns:
        (T,) JS, KL(first‖second) and KL(second‖first).

    Raises:
        InputError: the store does not have the pair.
    """
    for path in store.pair_blocks(item):
        block = store.read_pairs(path)
        for place, cells in enumerate(np.array(block.cells)[block.pairs].tolist()):
            if cells == [first, second]:
                return block.js[place], block.kl_pq[place], block.kl_qp[place]
            if cells == [second, first]:
                return block.js[place], block.kl_qp[place], block.kl_pq[place]
    raise _no_longer(store)


def _no_longer(store: Store) -> InputError:
    return InputError(
        f"The store {store.root} no longer has these divergences; run the workflow again."
    )
