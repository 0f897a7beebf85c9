"""What an intervention does to divergences: those of chosen personas beside all others."""

from collections.abc import Sequence
from typing import Any

from persona_geometry.probe.groups import GROUPS, n_chosen_of
from persona_geometry.rdms.rdm import RdmStack


def effect(before: RdmStack, after: RdmStack, chosen: Sequence[str]) -> dict[str, Any]:
    """Divergences with and without an intervention.

    Args:
        before, after: JS divergences of each prompt, in nats, of the same personas and prompts.
        chosen: names of the personas whose direction is taken out.

    Returns:
        `personas`; `groups`, for pairs among the chosen, `across` and among the `others` the mean
        `before` and `after`, the relative `change` of that mean, and `prompts_down`, the share of
        prompts in which the mean fell; and `pairs`, each with its group, `before` and `after`.
    """
    n_chosen = n_chosen_of(before.mean().pairs, chosen)
    groups = {}
    for name, n in GROUPS.items():
        by_prompt = [stack.vectors[:, n_chosen == n].mean(axis=1) for stack in (before, after)]
        first, second = (float(values.mean()) for values in by_prompt)
        groups[name] = {
            "before": first,
            "after": second,
            "change": second / first - 1 if first > 0 else None,
            "prompts_down": float((by_prompt[1] < by_prompt[0]).mean()),
        }
    means = zip(before.mean().pairs, before.mean().vector, after.mean().vector, strict=True)
    group_of = {n: name for name, n in GROUPS.items()}
    pairs = [
        {
            "personas": list(pair),
            "group": group_of[int(n)],
            "before": float(first),
            "after": float(second),
        }
        for n, (pair, first, second) in zip(n_chosen, means, strict=True)
    ]
    return {"personas": list(chosen), "groups": groups, "pairs": pairs}
