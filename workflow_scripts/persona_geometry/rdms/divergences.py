"""Divergences: of each prompt, stacked and averaged, and of one pair token by token."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.files import PromptDivergences
from persona_geometry.rdms.rdm import Rdm, RdmStack, checked
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


def token_stack(store: Store, prompt: PromptDivergences, estimator: str) -> np.ndarray:
    """Divergences of every pair of a prompt's personas at every scored token, in nats.

    Args:
        store: the store.
        prompt: what was published of the prompt, of N personas.
        estimator: "js" or "half_jeffreys".

    Returns:
        (N, N, T) float32, symmetric.

    Raises:
        InputError: the store does not have a pair.
    """
    place = {cell: k for k, cell in enumerate(prompt.cells)}
    n = len(place)
    found = np.full((n, n, prompt.n_tokens), np.nan, dtype=np.float32)
    for path in store.pair_blocks(prompt.item):
        block = store.read_pairs(path)
        values = block.js if estimator == "js" else (block.kl_pq + block.kl_qp) / 2
        for (one, other), row in zip(block.pairs.tolist(), values, strict=True):
            i, j = place.get(block.cells[one]), place.get(block.cells[other])
            if i is not None and j is not None:
                found[i, j] = found[j, i] = row
    found[np.arange(n), np.arange(n)] = 0
    if np.isnan(found).any():
        raise _gone(store)
    return found


def token_pairs(
    store: Store, prompt: PromptDivergences, estimator: str, personas: Sequence[str]
) -> np.ndarray:
    """(N(N-1)/2, T) of `token_stack`: the pairs of N of the prompt's personas, row by row."""
    order = np.array([prompt.personas.index(name) for name in personas])
    first, second = np.triu_indices(len(order), 1)
    pairs: np.ndarray = token_stack(store, prompt, estimator)[order[first], order[second]]
    return pairs


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
    raise _gone(store)


def _gone(store: Store) -> InputError:
    return InputError(
        f"The store {store.root} no longer has these divergences; run the workflow again."
    )
