"""How the agreement changes with depth, and what each control leaves of it."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import (
    DARK,
    GATE,
    HALO,
    NEUTRAL,
    PALETTE,
    Drawing,
    empty_figure,
    in_house_style,
    interval_line,
    legend_below,
    marker,
    refused,
)
from persona_geometry.report.text import number
from persona_geometry.rsa.controls import CONTROLS, controls
from persona_geometry.rsa.jackknife import intervals, jackknife
from persona_geometry.rsa.layer import partial
from persona_geometry.rsa.significance import LEVEL, significant

PANELS = 12
"""Layers with a panel at most."""
OVER = "95 % over personas"
MARGIN = 0.06


@in_house_style
def past_controls(shown: Shown) -> Drawing:
    """Dots with intervals: a panel a configured layer, a row a control, gates where they bind."""
    rows = [
        {
            "layer": layer,
            "statistic": name,
            "value": shown.layers[layer][name],
            "low": found.low,
            "high": found.high,
            "mantel_p": shown.layers[layer]["mantel_p"] if name == "spearman" else None,
        }
        for layer in shown.layers
        for name, found in controls(shown.geometries, layer).items()
    ]
    table = pd.DataFrame(rows)
    kept = [name for name in CONTROLS if table[table["statistic"] == name]["value"].notna().any()]
    if not kept:
        return refused(shown.width, list(table), "No layer has a correlation to show.")
    table = table[table["statistic"].isin(kept)].reset_index(drop=True)
    layers = _spread_out(list(shown.layers), shown.headline)
    across = min(len(layers), 2 if shown.narrow else 4)
    down = -(-len(layers) // across)
    height = 0.45 + down * (0.35 + 0.145 * len(kept))
    figure = empty_figure(shown.width, height + 0.25)
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    places = {name: len(kept) - 1 - k for k, name in enumerate(kept)}
    bound = False
    for axis, layer in zip(axes.flat, layers, strict=False):
        for row in table[table["layer"] == layer].itertuples():
            color = PALETTE[0] if row.statistic == "spearman" else DARK
            interval_line(axis, row.low, row.high, places[row.statistic], color=color)
            axis.plot(row.value, places[row.statistic], "o", color=color, ms=4, zorder=3)
        for gate in shown.alignment["gates"]:
            if gate["layer"] == layer and gate["statistic"] in kept:
                place, bound = places[gate["statistic"]], True
                axis.vlines(gate["threshold"], place - 0.38, place + 0.38, color=GATE, lw=1.6)
        axis.axvline(0, color="black", lw=0.5, zorder=0)
        headline = " (headline)" if layer == shown.headline else ""
        axis.set_title(f"Layer {layer}{headline}", loc="left")
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.set_yticks(list(places.values()), [_label(name) for name in places])
        axis.set_ylim(-0.6, len(kept) - 0.4)
    ends = table[["value", "low", "high"]].astype(float)
    axes[0, 0].set_xlim(min(-0.05, ends.min().min() - MARGIN), 1.02)
    for place, axis in enumerate(axes.flat):
        axis.set_visible(place < len(layers))
        if place + across >= len(layers):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("Spearman's ρ")
    handles = [Line2D([], [], color=DARK, lw=1.0, marker="o", ms=4, label=OVER)]
    if bound:
        handles.append(marker("|", "Gate at its layer", color=GATE, ms=7, mew=1.6))
    legend_below(figure, handles)
    left_out = len(shown.layers) - len(layers)
    caption = (
        f"{shown.whom}. Correlation of hidden states and behavior, raw and past each control, "
        f"a panel a layer, with jackknife intervals over personas; at the headline "
        f"{shown.agreement(shown.headline)}. A gate's threshold stands in the row and at the layer "
        f"that it binds."
        + (f" {left_out} configured layers have no panel; the table has them." if left_out else "")
    )
    return Drawing(figure, table, caption)


def _spread_out(layers: list[int], headline: int) -> list[int]:
    """As many layers as have room, evenly spread, the headline layer among them."""
    places = np.linspace(0, len(layers) - 1, min(PANELS, len(layers))).round().astype(int)
    chosen = {layers[place] for place in places}
    if headline not in chosen:
        nearest = min(chosen, key=lambda layer: abs(layer - headline))
        chosen = chosen - {nearest} | {headline}
    return sorted(chosen)


def _label(name: str) -> str:
    """A control in two short lines at most."""
    return CONTROLS[name].replace(" and macro clusters", "\nand macro clusters")


@in_house_style
def layer_curve(shown: Shown) -> Drawing:
    """ρ at every known layer with its interval, past clusters too, below the noise ceiling.

    A layer without a correlation is not drawn.
    """
    cosine, divergence = shown.compared.cosine, shown.divergence
    rows = []
    for name, point in shown.alignment["layer_curve"].items():
        layer = int(name)
        ends = intervals(jackknife(cosine[layer], divergence))["personas"]
        past = partial(shown.compared, layer, ["fine", "macro"])
        rows.append(
            {"layer": layer, **point, "low": ends["low"], "high": ends["high"], "partial": past}
        )
    table = pd.DataFrame(rows).rename(columns={"partial": "partial_joint"})
    if table["spearman"].isna().all():
        return refused(shown.width, list(table), "No layer has a correlation to show.")
    figure = empty_figure(shown.width, 2.6)
    axis = figure.subplots()
    x = table["layer"]
    rho, low, high = (table[key].astype(float) for key in ("spearman", "low", "high"))
    if low.notna().any():
        axis.fill_between(x, low, high, color=PALETTE[0], alpha=0.15, lw=0, label=OVER)
    axis.plot(x, rho, color=PALETTE[0], lw=1.2, zorder=2, label="ρ")
    past = table["partial_joint"].astype(float)
    if past.notna().any():
        axis.plot(
            x, past, color=PALETTE[1], lw=1.1, ls=(0, (4, 1.5)), marker="." if len(x) == 1 else "",
            label="ρ past clusters (joint partial)",
        )  # fmt: skip
    p = table["family_wise_p"].astype(float)  # nan where there is none
    for chosen, fill, label in (
        (significant(p), PALETTE[0], f"Family-wise p ≤ {LEVEL}"),
        (p.notna() & ~significant(p), "white", f"Family-wise p > {LEVEL}"),
    ):
        if chosen.any():
            axis.scatter(
                x[chosen], rho[chosen], s=14, color=fill, edgecolor=PALETTE[0], lw=0.9, zorder=3,
                label=label,
            )  # fmt: skip
    ceiling = shown.alignment["noise_ceiling"]
    if ceiling["rho_ceiling"] is not None:
        axis.axhspan(ceiling["low"], ceiling["high"], color=NEUTRAL, alpha=0.35, lw=0, zorder=0)
        axis.axhline(ceiling["rho_ceiling"], color=NEUTRAL, lw=0.9, zorder=0)
        axis.annotate(
            f"noise ceiling {number(ceiling['rho_ceiling'])}", (0.0, ceiling["low"]), (3, -2),
            xycoords=("axes fraction", "data"), textcoords="offset points", va="top", fontsize=6,
            color=DARK, path_effects=HALO,
        )  # fmt: skip
    axis.axvline(shown.headline, color=DARK, lw=0.7, ls=(0, (2, 2)), zorder=0)
    axis.axhline(0, color="black", lw=0.5)
    lowest = np.nanmin([*rho, *low, *past])
    axis.set_ylim(min(-0.12, lowest - MARGIN), 1.05)
    axis.annotate(
        "headline", (shown.headline, 0.0), (2, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", fontsize=6, color=DARK, path_effects=HALO,
    )  # fmt: skip
    axis.set_xlabel("Layer")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("Spearman's ρ")
    legend_below(figure)
    best = table.loc[rho.idxmax()]
    caption = (
        f"{shown.whom}. ρ at every known layer, with a jackknife interval over personas. It is "
        f"largest at layer {int(best['layer'])} (ρ = {number(float(best['spearman']))}); at the "
        f"headline {shown.agreement(shown.headline)}. Points are filled where p is at most "
        f"{LEVEL} after correction over all layers by the maximum statistic. "
        + (
            "Dashed: the partial correlation given fine and macro clusters. "
            if past.notna().any()
            else ""
        )
        + "Gray: the noise ceiling of the divergences, where there is one."
    )
    return Drawing(figure, table, caption)
