"""Figures of a comparison of studies, each from the content of comparison.json."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from persona_geometry.report.figures.style import (
    COLUMN,
    NEUTRAL,
    PAGE,
    PALETTE,
    empty_figure,
    in_house_style,
    readable,
)
from persona_geometry.report.text import number

OUTCOMES = {"held": PALETTE[2], "failed": PALETTE[4], "cannot tell": NEUTRAL}
PANELS = 3
"""Heat maps beside each other."""
TICKS = 8


@in_house_style
def depth(comparison: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
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
    figure = empty_figure(COLUMN * 1.3, 3.0)
    axis = figure.subplots()
    for k, name in enumerate(comparison["studies"]):
        own = table[(table["study"] == name) & table["depth"].notna()]
        x, color = own["depth"].astype(float), PALETTE[k % len(PALETTE)]
        low, high = (own[f"shared_{end}"].astype(float) for end in ("low", "high"))
        axis.fill_between(x, low, high, color=color, alpha=0.12, lw=0)
        axis.plot(
            x,
            own["spearman"].astype(float),
            color=color,
            lw=1.2,
            marker="o",
            ms=3.0 if low.notna().any() else 4.5,
            ls="-" if low.notna().any() else ":",
            label=readable(name),
        )
    axis.axhline(0, color="black", lw=0.5)
    axis.set_xlim(0, 1)
    axis.set_ylim(min(-0.2, float(table["spearman"].astype(float).min()) - 0.05), 1.02)
    axis.set_xlabel("Relative depth (layer / number of layers)")
    axis.set_ylabel("Spearman's ρ, cosine against divergence")
    figure.legend(loc="outside lower center", ncols=2)
    return figure, table


@in_house_style
def second_order(comparison: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
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
    across = max(1, min(PANELS, len(pairs)))
    down = max(1, -(-len(pairs) // across))
    figure = empty_figure(min(PAGE, 2.9 * across + 0.6), 2.6 * down)
    axes = figure.subplots(down, across, squeeze=False)
    for axis in axes.flat[len(pairs) :]:
        axis.set_axis_off()
    if not pairs:
        axes[0, 0].text(0.5, 0.5, "No two studies with RDMs", ha="center")
        return figure, table
    for axis, pair in zip(axes.flat, pairs, strict=False):
        image = _layers_by_layers(axis, pair)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("Spearman's ρ of cosine distances")
    bar.outline.set_linewidth(0.4)
    return figure, table


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
def differences(comparison: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
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
    figure = empty_figure(PAGE * 0.8, 0.9 + 0.24 * max(1, len(table)))
    axis = figure.subplots()
    labels = [
        f"{readable(r.first)} {r.first_layer}, {readable(r.second)} {r.second_layer}"
        for r in table.itertuples()
    ]
    y = np.arange(len(table))[::-1]
    for kind, width in (("personas", 2.6), ("dual", 1.0)):
        low, high = (table[f"{kind}_{end}"].astype(float) for end in ("low", "high"))
        axis.hlines(y, low, high, color=PALETTE[0], lw=width)
    axis.scatter(table["difference"].astype(float), y, s=14, color=PALETTE[0], zorder=3)
    axis.set_yticks(y, labels)
    axis.set_ylim(-0.6, max(1, len(table)) - 0.4)
    axis.axvline(0, color="black", lw=0.5)
    axis.set_xlabel("Δρ, first less second (thick: over personas; thin: over prompts too)")
    return figure, table


@in_house_style
def replication(comparison: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
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
    figure = empty_figure(PAGE * 0.8, 1.0 + 0.24 * max(1, len(table)))
    axis = figure.subplots()
    y = np.arange(len(table))[::-1]
    for place, row in zip(y, rows, strict=True):
        color = OUTCOMES[row["outcome"]]
        if row["low"] is not None:
            axis.hlines(place, row["low"], row["high"], color=color, lw=1.6)
        if row["value"] is not None:
            axis.scatter(row["value"], place, s=16, color=color, zorder=3)
        axis.vlines(row["threshold"], place - 0.35, place + 0.35, color="black", lw=0.9)
    names = [f"{readable(r['replication'])}: {r['criterion'].replace('_', ' ')}" for r in rows]
    axis.set_yticks(y, names)
    axis.set_ylim(-0.6, max(1, len(rows)) - 0.4)
    axis.set_xlabel("Value with its 95 % interval; black: threshold")
    for outcome, color in OUTCOMES.items():
        axis.scatter([], [], s=16, color=color, label=outcome)
    figure.legend(loc="outside lower center", ncols=3)
    return figure, table


FIGURES = {
    "depth": depth,
    "second_order": second_order,
    "differences": differences,
    "replication": replication,
}
