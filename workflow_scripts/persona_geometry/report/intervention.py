"""intervention.json in sentences. Every number is read from it."""

from collections.abc import Mapping
from typing import Any

from persona_geometry.report.text import number, table, words

GROUPS = {
    "chosen": "among the chosen",
    "across": "of a chosen and another",
    "others": "among the others",
}


def describe_effect(found: Mapping[str, Any]) -> str:
    """What an intervention did, as Markdown.

    Args:
        found: the content of intervention.json.
    """
    chosen = [words(name) for name in found["personas"]]
    rows = [(GROUPS[name], of) for name, of in found["groups"].items()]
    rows += [
        (" and ".join(map(words, pair["personas"])), pair)
        for pair in found["pairs"]
        if pair["group"] == "chosen"
    ]
    parts = [
        "# Intervention",
        f"The direction {found['direction']} of {', '.join(chosen[:-1])} and {chosen[-1]} "
        f"({found['directions']}) was taken out of the hidden states after block "
        f"{found['layer']}, at every token and for every persona, on the same responses. JS "
        f"divergence before and after, in nats:",
        table(
            ["pairs", "before", "after", "change"],
            [[name, *_before_and_after(of)] for name, of in rows],
        ),
        "The mean fell in "
        + "; ".join(
            f"{100 * of['prompts_down']:.0f} % of the prompts for pairs {GROUPS[name]}"
            for name, of in found["groups"].items()
        )
        + ". The file's direction 'random' is a control: what it does, any direction may.",
    ]
    return "\n\n".join(parts) + "\n"


def _before_and_after(of: Mapping[str, Any]) -> list[str]:
    before, after = of["before"], of["after"]
    change = f"{100 * (after / before - 1):+.1f} %" if before > 0 else number(None)
    return [number(before), number(after), change]
