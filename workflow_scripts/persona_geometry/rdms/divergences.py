"""Divergence RDMs: what was published of each prompt, stacked and averaged."""

from collections.abc import Mapping

import numpy as np

from persona_geometry.rdms.files import PromptDivergences
from persona_geometry.rdms.rdm import Rdm, RdmStack, checked

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
