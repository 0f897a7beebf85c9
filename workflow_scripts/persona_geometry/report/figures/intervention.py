"""Every pair's divergence before and after an intervention."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from persona_geometry.report.figures.style import (
    GATE,
    NEUTRAL,
    PALETTE,
    Drawing,
    empty_figure,
    in_house_style,
    legend_below,
)
from persona_geometry.report.intervention import GROUPS
from persona_geometry.report.text import count, number, words

# A color and a shape for each group.
MARKS = {"others": (NEUTRAL, "o"), "across": (PALETTE[0], "^"), "chosen": (GATE, "D")}


@in_house_style
def before_and_after(found: Mapping[str, Any], width: float) -> Drawing:
    """Draw pairs by their divergence before and after, the chosen ones on top.

    Args:
        found: the content of intervention.json.
        width: of the figure, in inches.
    """
    columns = ["first", "second", "group", "before", "after"]
    rows = [[*p["personas"], p["group"], p["before"], p["after"]] for p in found["pairs"]]
    pairs = pd.DataFrame(rows, columns=columns)
    figure = empty_figure(width, min(width, 4.5) + 0.4)
    axis = figure.subplots()
    for group, (color, shape) in MARKS.items():
        of = pairs[pairs["group"] == group]
        label = f"{GROUPS[group]} (n = {len(of):,})"
        axis.scatter(
            of["before"], of["after"], s=14, marker=shape, color=color, alpha=0.8, lw=0, label=label
        )
    most = 1.05 * max(pairs["before"].max(), pairs["after"].max()) or 1.0
    axis.plot([0, most], [0, most], color="black", lw=0.5, zorder=0)
    axis.set_xlim(0, most)
    axis.set_ylim(0, most)
    axis.set_aspect("equal")
    axis.set_xlabel("JS divergence before (nats)")
    axis.set_ylabel("JS divergence after (nats)")
    legend_below(figure)
    chosen = found["groups"]["chosen"]
    caption = (
        f"JS divergence of {count(len(pairs), 'pair')} of personas before and after the direction "
        f"{words(found['direction'])} was taken out of the hidden states after block "
        f"{found['layer']}. Pairs below the diagonal came nearer. Among "
        f"{', '.join(map(words, found['personas']))}, the mean went from "
        f"{number(chosen['before'])} to {number(chosen['after'])} nats."
    )
    return Drawing(figure, pairs, caption)
