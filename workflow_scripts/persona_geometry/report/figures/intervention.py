"""Every pair's divergence before and after an intervention."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from persona_geometry.report.figures.style import (
    COLUMN,
    NEUTRAL,
    PALETTE,
    empty_figure,
    in_house_style,
)
from persona_geometry.report.intervention import GROUPS

COLORS = {"others": NEUTRAL, "across": PALETTE[0], "chosen": PALETTE[4]}


@in_house_style
def before_and_after(found: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Draw pairs by their divergence before and after, the chosen ones on top.

    Args:
        found: the content of intervention.json.
    """
    columns = ["first", "second", "group", "before", "after"]
    rows = [[*p["personas"], p["group"], p["before"], p["after"]] for p in found["pairs"]]
    pairs = pd.DataFrame(rows, columns=columns)
    figure = empty_figure(COLUMN, 3.4)
    axis = figure.subplots()
    for group, color in COLORS.items():
        of = pairs[pairs["group"] == group]
        axis.scatter(of["before"], of["after"], s=12, color=color, lw=0, label=GROUPS[group])
    most = 1.05 * max(pairs["before"].max(), pairs["after"].max())
    axis.plot([0, most], [0, most], color="black", lw=0.5, zorder=0)
    axis.set_xlim(0, most)
    axis.set_ylim(0, most)
    axis.set_aspect("equal")
    axis.set_xlabel("JS divergence before (nats)")
    axis.set_ylabel("JS divergence after (nats)")
    axis.legend(title="Pairs")
    return figure, pairs
