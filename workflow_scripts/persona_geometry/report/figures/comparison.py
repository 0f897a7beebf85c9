"""Figures of a comparison of studies, each from the content of comparison.json."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from persona_geometry.report.figures.style import (
    NEUTRAL,
    PALETTE,
    TALLEST,
    Drawing,
    empty_figure,
    in_house_style,
    legend_below,
    marker,
    readable,
    refused,
)
from persona_geometry.report.text import number

# A color and a shape for each outcome, and a shape for each study.
OUTCOMES = {
    "held": (PALETTE[2], "o"),
    "failed": (PALETTE[4], "X"),
    "cannot tell": (NEUTRAL, "s"),
}
SHAPES = "osD^vPX"
PANELS = 3
"""Heat maps beside each other on a page."""
TICKS = 8
ROW = 0.24  # inches
ROWS = int((TALLEST - 1.2) / ROW)
"""Rows of intervals at most."""


@in_house_style
def depth(comparison: dict[str, Any], width: float) -> Drawing:
    """ρ of every study by relative depth; bands are 95 % over the personas that all share."""
    rows = [
        {
            "study": name,
            **{key: point[key] for key in ("layer", "depth", "spearman", "mantel_p")},
            **{f"shared_{key}": value for key, value in point["shared"].items()},
        }
        for name, study in comparison["studies"].items()
        for point in study["curve"]
    ]
    table = pd.DataFrame(rows)
    drawn = table[table["depth"].notna() & table["spearman"].notna()]
    if drawn.empty:
        return refused(width, list(table), "No study has a ρ at a known relative depth.")
    figure = empty_figure(width, 2.9)
    axis = figure.subplots()
    for k, name in enumerate(comparison["studies"]):
        own = drawn[drawn["study"] == name]
        x, color = own["depth"].astype(float), PALETTE[k % len(PALETTE)]
        low, high = (own[f"shared_{end}"].astype(float) for end in ("low", "high"))
        axis.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        axis.plot(
            x,
            own["spearman"].astype(float),
            color=color,
            lw=1.2,
            marker=SHAPES[k % len(SHAPES)],
            ms=3.0 if low.notna().any() else 4.5,
            ls="-" if low.notna().any() else ":",
            label=readable(name),
        )
    axis.axhline(0, color="black", lw=0.5)
    axis.set_xlim(0, 1)
    axis.set_ylim(min(-0.2, float(drawn["spearman"].astype(float).min()) - 0.05), 1.02)
    axis.set_xlabel("Relative depth (layer / number of layers)")
    axis.set_ylabel("Spearman's ρ")
    legend_below(figure)
    largest = [
        f"{readable(name)} {number(float(own['spearman'].max()))}"
        for name, own in drawn.groupby("study", sort=False)
    ]
    caption = (
        f"ρ of cosine distances and divergences of {len(comparison['studies'])} "
        f"studies by relative depth; bands are 95 % over the personas that all share, dotted lines "
        f"have none. Largest: {', '.join(largest)}."
    )
    return Drawing(figure, table, caption)


@in_house_style
def second_order(comparison: dict[str, Any], width: float) -> Drawing:
    """Cosine distances against cosine distances at every two layers, a panel a pair of studies."""
    pairs = [pair for pair in comparison["pairs"] if pair["cosine"]]
    rows = [
        {
            "first": pair["studies"][0],
            "second": pair["studies"][1],
            "first_layer": first,
            "second_layer": second,
            **{
                key: pair["cosine"][key][i][j]
                for key in ("spearman", "low", "high", "p", "family_wise_p")
            },
        }
        for pair in pairs
        for i, first in enumerate(pair["cosine"]["layers"][0])
        for j, second in enumerate(pair["cosine"]["layers"][1])
    ]
    columns = [*("first", "second", "first_layer", "second_layer", "spearman", "low", "high")]
    table = pd.DataFrame(rows, columns=[*columns, "p", "family_wise_p"])
    if not pairs:
        return refused(width, list(table), "No two studies have RDMs on the same personas.")
    across = min(PANELS if width > 5 else 1, len(pairs))
    down = -(-len(pairs) // across)
    side = min(width / across, 3.2)
    figure = empty_figure(width, min(TALLEST, side * 0.85 * down + 0.55))
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat[len(pairs) :]:
        axis.set_axis_off()
    for axis, pair in zip(axes.flat, pairs, strict=False):
        image = _layers_by_layers(axis, pair)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, aspect=30)
    bar.set_label("Spearman's ρ of cosine distances")
    bar.outline.set_linewidth(0.4)
    told = [
        f"{' and '.join(map(readable, pair['studies']))}: divergences "
        f"{number(pair['divergence']['spearman'])}"
        for pair in pairs
    ]
    caption = (
        f"Spearman's ρ of the cosine distances of two studies at every two layers, a panel a pair "
        f"of studies. {'; '.join(told)}."
    )
    return Drawing(figure, table, caption)


def _layers_by_layers(axis: Axes, pair: dict[str, Any]) -> Any:
    rho = np.array(pair["cosine"]["spearman"], dtype=float)
    image = axis.imshow(rho, cmap="RdBu_r", vmin=-1, vmax=1, origin="lower", aspect="auto")
    for ticks, layers in zip(
        (axis.set_yticks, axis.set_xticks), pair["cosine"]["layers"], strict=True
    ):
        places = np.unique(
            np.linspace(0, len(layers) - 1, min(len(layers), TICKS)).round().astype(int)
        )
        ticks(places, [str(layers[k]) for k in places])
    first, second = map(readable, pair["studies"])
    axis.set_ylabel(f"Layer of {first}")
    axis.set_xlabel(f"Layer of {second}")
    js = pair["divergence"]["spearman"]
    axis.set_title(f"Divergences: ρ = {number(js)}" if js is not None else "Divergences: no ρ")
    return image


@in_house_style
def differences(comparison: dict[str, Any], width: float) -> Drawing:
    """Δρ of every two studies at layers of one depth, with intervals over personas and both."""
    rows = [
        {
            "first": pair["studies"][0],
            "second": pair["studies"][1],
            "first_layer": at["layers"][0],
            "second_layer": at["layers"][1],
            "difference": at["difference"]["value"],
            **{
                f"{kind}_{end}": at["difference"][kind][end]
                for kind in ("personas", "prompts", "dual")
                for end in ("low", "high")
            },
        }
        for pair in comparison["pairs"]
        for at in pair["layers"]
        if at["difference"]
    ]
    ends = [f"{kind}_{e}" for kind in ("personas", "prompts", "dual") for e in ("low", "high")]
    columns = ["first", "second", "first_layer", "second_layer", "difference", *ends]
    table = pd.DataFrame(rows, columns=columns)
    if table["difference"].isna().all():
        return refused(width, columns, "No two studies have a ρ at layers of one depth.")
    drawn = table.head(ROWS)
    figure = empty_figure(width, 0.95 + ROW * max(3, len(drawn)))
    axis = figure.subplots()
    labels = [
        f"{readable(r.first)} {r.first_layer} − {readable(r.second)} {r.second_layer}"
        for r in drawn.itertuples()
    ]
    y = np.arange(len(drawn))[::-1]
    for kind, thickness in (("personas", 2.6), ("dual", 1.0)):
        low, high = (drawn[f"{kind}_{end}"].astype(float) for end in ("low", "high"))
        axis.hlines(y, low, high, color=PALETTE[0], lw=thickness)
    axis.scatter(drawn["difference"].astype(float), y, s=14, color=PALETTE[0], zorder=3)
    _rows(axis, y, labels, width)
    axis.axvline(0, color="black", lw=0.5)
    axis.set_xlabel("Δρ, first less second")
    legend_below(
        figure,
        [
            Line2D([], [], color=PALETTE[0], lw=2.6, label="95 % over personas"),
            Line2D([], [], color=PALETTE[0], lw=1.0, label="over prompts too"),
        ],
    )
    caption = (
        f"Differences of ρ between two studies at layers of one relative depth, with 95 % "
        f"intervals from units left out of both. They reach from "
        f"{number(float(table['difference'].min()))} to "
        f"{number(float(table['difference'].max()))}."
        + (f" The first {len(drawn)} of {len(table)} are drawn." if len(drawn) < len(table) else "")
    )
    return Drawing(figure, table, caption)


@in_house_style
def replication(comparison: dict[str, Any], width: float) -> Drawing:
    """Every criterion of the rule in every replication, against its threshold."""
    columns = ["replication", "verdict", "criterion", "threshold", "value", "low", "high"]
    rows = [
        {
            "replication": found["replication"],
            "verdict": found["verdict"],
            **{key: one[key] for key in (*columns[2:], "outcome", "reason")},
        }
        for found in comparison["verdicts"]
        for one in found["criteria"]
    ]
    table = pd.DataFrame(rows, columns=[*columns, "outcome", "reason"])
    if not rows:
        return refused(width, list(table), "No study replicates another.")
    drawn = rows[:ROWS]
    figure = empty_figure(width, 1.0 + ROW * max(3, len(drawn)))
    axis = figure.subplots()
    y = np.arange(len(drawn))[::-1]
    for place, row in zip(y, drawn, strict=True):
        color, shape = OUTCOMES[row["outcome"]]
        if row["low"] is not None:
            axis.hlines(place, row["low"], row["high"], color=color, lw=1.6)
        if row["value"] is not None:
            axis.scatter(row["value"], place, s=18, marker=shape, color=color, zorder=3)
        axis.vlines(row["threshold"], place - 0.35, place + 0.35, color="black", lw=1.2)
    names = [f"{readable(r['replication'])}: {r['criterion'].replace('_', ' ')}" for r in drawn]
    _rows(axis, y, names, width)
    axis.set_xlabel("Value with its 95 % interval")
    entries = [marker(shape, name, color=color) for name, (color, shape) in OUTCOMES.items()]
    legend_below(figure, [*entries, marker("|", "threshold", color="black", ms=7, mew=1.2)])
    told = [
        f"{readable(found['replication'])} of {readable(comparison['original'])}: "
        f"{found['verdict']}"
        for found in comparison["verdicts"]
    ]
    return Drawing(
        figure,
        table,
        f"Every criterion of the replication rule against its threshold, which the config fixed. "
        f"{'; '.join(told)}.",
    )


def _rows(axis: Axes, places: np.ndarray, labels: list[str], width: float) -> None:
    """A label a row, in two lines in a narrow figure."""
    if width < 5:
        labels = [label.replace(" − ", "\n− ").replace(": ", ":\n") for label in labels]
    axis.set_yticks(places, labels, fontsize=6)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(labels) - 0.4)


FIGURES = {
    "depth": depth,
    "second_order": second_order,
    "differences": differences,
    "replication": replication,
}
