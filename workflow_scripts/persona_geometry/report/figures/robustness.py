"""On what the agreement rests: single personas and prompts, and how much of a response is read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import (
    DARK,
    HALO,
    NEUTRAL,
    PALETTE,
    Drawing,
    empty_figure,
    in_house_style,
    legend_below,
    marker,
    readable,
    refused,
)
from persona_geometry.report.text import number
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.significance import LEVEL, significant

NAMED = 45
"""Personas with a row at most."""
ROWS = 12
"""Layers with a row at most."""
CONSTANT = "A geometry does not vary at the headline layer, so there is no ρ."


@in_house_style
def jackknife_dots(shown: Shown) -> Drawing:
    """ρ of the headline layer without each persona, in order; those that matter most if many."""
    of = shown.layers[shown.headline]
    values = {name: rho for name, rho in of["jackknife"]["values"].items() if rho is not None}
    columns = ["persona", "rho_without", "change"]
    if of["spearman"] is None or not values:
        reason = CONSTANT if of["spearman"] is None else "Too few personas to leave one out."
        return refused(shown.width, columns, reason)
    rows = [(name, rho, rho - of["spearman"]) for name, rho in values.items()]
    table = pd.DataFrame(rows, columns=columns).sort_values("rho_without", ignore_index=True)
    drawn = table.loc[table["change"].abs().nlargest(NAMED).index].sort_values("rho_without")
    y = np.arange(len(drawn))[::-1]
    figure = empty_figure(shown.width, 0.75 + 0.115 * max(4, len(drawn)))
    axis = figure.subplots()
    ends = widest(of["intervals"])
    if ends["low"] is not None:
        axis.axvspan(ends["low"], ends["high"], color=NEUTRAL, alpha=0.2, lw=0, zorder=0)
    axis.axvline(of["spearman"], color=DARK, lw=0.8, zorder=1)
    colors = [shown.colors.get(shown.clusters.get(name, ""), NEUTRAL) for name in drawn["persona"]]
    axis.hlines(y, of["spearman"], drawn["rho_without"], color=NEUTRAL, lw=0.7, zorder=2)
    axis.scatter(drawn["rho_without"], y, s=18, color=colors, edgecolor=DARK, lw=0.4, zorder=3)
    axis.set_yticks(y, [readable(name) for name in drawn["persona"]])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.7, len(drawn) - 0.3)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_xlabel(f"ρ without the persona, layer {shown.headline}")
    handles = [marker("|", "ρ of all", color=DARK, ms=8, mew=0.8)]
    if ends["low"] is not None:
        handles.append(marker("s", "its 95 % interval", color=NEUTRAL, alpha=0.4))
    legend_below(figure, handles, cluster_entries(shown.colors if shown.clusters else {}))
    most = table.loc[table["change"].abs().idxmax()]
    caption = (
        f"{shown.whom}. ρ with each persona left out, beside ρ of all; "
        f"{shown.agreement(shown.headline)}. "
        f"Of all, {readable(most['persona'])} matters most: without it, ρ is "
        f"{number(float(most['rho_without']))}."
        + (f" The {len(drawn)} that matter most are drawn." if len(drawn) < len(table) else "")
    )
    return Drawing(figure, table, caption)


@in_house_style
def cutoff_lines(shown: Shown) -> Drawing:
    """ρ by how many tokens of the responses are read, a line a configured layer."""
    rows = [
        {"layer": layer, "tokens": cutoff, "spearman": of["cutoffs"][cutoff],
         "mantel_p": of["cutoffs"]["mantel_p"][cutoff]}
        for layer, of in shown.layers.items()
        for cutoff in of["cutoffs"]["mantel_p"]
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["layer", "tokens", "spearman", "mantel_p"])
    if table["spearman"].isna().all():
        return refused(shown.width, list(table), CONSTANT)
    cutoffs = list(dict.fromkeys(table["tokens"]))
    figure = empty_figure(shown.width, 2.4)
    axis = figure.subplots()
    ends = []
    for layer in sorted(shown.layers, key=lambda layer: layer == shown.headline):
        of = table[table["layer"] == layer]
        headline = layer == shown.headline
        color = PALETTE[0] if headline else NEUTRAL
        x, rho = np.arange(len(of)), of["spearman"].astype(float)
        axis.plot(x, rho, color=color, lw=1.4 if headline else 0.9, zorder=2 + headline)
        filled = significant(of["mantel_p"].astype(float)).to_numpy()
        faces = np.where(filled, color, "white").tolist()
        axis.scatter(x, rho, s=18, c=faces, edgecolors=color, lw=0.9, zorder=3 + headline)
        if len(shown.layers) <= ROWS and np.isfinite(rho.iloc[-1]):
            ends.append((float(rho.iloc[-1]), f"layer {layer}", color if headline else DARK))
    axis.set_xlim(-0.25, len(cutoffs) - 0.75 + 0.25 * (len(cutoffs) == 1))
    axis.set_xticks(range(len(cutoffs)), [_tokens(cutoff) for cutoff in cutoffs])
    axis.axhline(0, color="black", lw=0.5)
    _at_the_end(figure, axis, ends, len(cutoffs) - 1)
    axis.set_ylabel("Spearman's ρ")
    axis.set_xlabel("Tokens of each response")
    legend_below(
        figure,
        [
            marker("o", f"Mantel p ≤ {LEVEL}", color=DARK),
            marker("o", f"p > {LEVEL}", color=DARK, mfc="white"),
        ],
    )
    ratios = shown.layers[shown.headline]["cutoffs"]["ratio"]
    caption = (
        f"{shown.whom}. ρ where only the first tokens of every response are read, by layer; "
        f"{shown.agreement(shown.headline)}, in blue."
        + "".join(
            f" With {cutoff} tokens, ρ is {number(ratio)} of that."
            for cutoff, ratio in ratios.items()
            if ratio is not None
        )
    )
    return Drawing(figure, table, caption)


def _tokens(cutoff: str) -> str:
    return "all" if cutoff == "full" else f"first {cutoff}"


def _at_the_end(
    figure: Figure, axis: Axes, ends: Sequence[tuple[float, str, str]], last: float
) -> None:
    """Name lines at their right ends, one above the other where they are near."""
    height = figure.get_figheight() * 72 * 0.6  # of the axes, which are not laid out yet
    low, high = axis.get_ylim()
    step, place = (high - low) * 7 / height, -np.inf
    for value, text, color in sorted(ends):
        place = max(value, place + step)
        axis.annotate(
            text, (last, place), (6, 0), textcoords="offset points", va="center", fontsize=6,
            color=color, annotation_clip=False,
        )  # fmt: skip


@in_house_style
def prompt_strips(shown: Shown) -> Drawing:
    """ρ of every prompt, a strip a configured layer."""
    rows = [
        {"layer": layer, "prompt": prompt, "spearman": rho, "step_down_p": p["step_down_p"][prompt]}
        for layer, of in shown.layers.items()
        if (p := of["per_prompt"])
        for prompt, rho in p["values"].items()
    ]
    table = pd.DataFrame(rows, columns=["layer", "prompt", "spearman", "step_down_p"])
    if table.empty:
        reason = "The divergences are from a file, which has none of single prompts."
        return refused(shown.width, list(table), reason)
    if table["spearman"].isna().all():
        return refused(shown.width, list(table), CONSTANT)
    layers = list(shown.layers)
    if len(layers) > ROWS:
        places = np.linspace(0, len(layers) - 1, ROWS).round().astype(int)
        layers = sorted({layers[place] for place in places} | {shown.headline})
    figure = empty_figure(shown.width, 0.9 + 0.36 * len(layers))
    axis = figure.subplots()
    for k, layer in enumerate(layers):
        of, place = (
            table[(table["layer"] == layer) & table["spearman"].notna()],
            len(layers) - 1 - k,
        )
        color = PALETTE[0] if layer == shown.headline else DARK
        rho = of["spearman"].to_numpy(dtype=float)
        y = place + _swarm(rho, 0.3)
        if layer == shown.headline:
            _name_extremes(axis, of["prompt"].to_list(), rho, y)
        filled = significant(of["step_down_p"].to_numpy(dtype=float))
        faces = np.where(filled, color, "white").tolist()
        axis.scatter(rho, y, s=11, c=faces, edgecolors=color, lw=0.6, alpha=0.8, zorder=2)
        if len(rho):
            axis.vlines(np.median(rho), place - 0.42, place + 0.42, color="black", lw=1.3, zorder=3)
        whole = shown.layers[layer]["spearman"]
        if whole is not None:
            mean = axis.scatter(whole, place, marker="D", s=20, color=PALETTE[1], zorder=4)
            mean.set(edgecolor="black", lw=0.5)
    axis.set_yticks(range(len(layers))[::-1], [f"Layer {layer}" for layer in layers])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(layers) - 0.3)
    axis.axvline(0, color="black", lw=0.5, zorder=0)
    low, high = axis.get_xlim()
    axis.set_xlim(min(low, -0.02), max(high, 0.02))
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.set_xlabel("Spearman's ρ of a single prompt's divergences")
    legend_below(
        figure,
        [
            marker("o", f"Prompt, step-down p ≤ {LEVEL}", color=DARK, ms=3.5),
            marker("o", f"p > {LEVEL}", color=DARK, mfc="white", ms=3.5),
            marker("|", "Median", color="black", ms=8, mew=1.3),
            marker("D", "Mean over prompts", color=PALETTE[1], mec="black", mew=0.5, ms=4),
        ],
    )
    of = shown.layers[shown.headline]["per_prompt"]
    caption = (
        f"{shown.whom}. ρ of the cosine distances with the divergences of each single prompt; "
        f"diamonds are ρ with their mean ({shown.agreement(shown.headline)}). At that layer, "
        f"prompts have ρ from {number(of['min'])} to {number(of['max'])}, median "
        f"{number(of['median'])}."
    )
    return Drawing(figure, table, caption)


def _name_extremes(axis: Axes, prompts: list[str], rho: np.ndarray, y: np.ndarray) -> None:
    """The prompts of lowest and highest ρ, beside their points."""
    if len(rho) < 2:
        return
    for place, side in ((int(rho.argmin()), "right"), (int(rho.argmax()), "left")):
        axis.annotate(
            readable(prompts[place]), (rho[place], y[place]), (-4 if side == "right" else 4, 0),
            textcoords="offset points", ha=side, va="center", fontsize=6, color=PALETTE[0],
            path_effects=HALO,
        )  # fmt: skip


def _swarm(values: np.ndarray, most: float) -> np.ndarray:
    """Offsets that keep near values apart: in order of value, from the middle outwards."""
    pattern = np.array([0, 0.5, -0.5, 1, -1]) * most
    offsets = np.empty(len(values))
    offsets[np.argsort(values)] = np.resize(pattern, len(values))
    return offsets if len(values) > 1 else np.zeros(len(values))


def cluster_entries(colors: Mapping[str, str]) -> list[Any]:
    """A marker of its color for each cluster, and for those without."""
    entries = [marker("o", readable(name), color=color) for name, color in colors.items()]
    return [*entries, marker("o", "no cluster", color=NEUTRAL)] if entries else []
