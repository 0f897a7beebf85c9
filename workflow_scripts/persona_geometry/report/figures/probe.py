"""Chosen personas beside the others: by layer, by position and by kind of word."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from persona_geometry.report.figures.style import (
    NEUTRAL,
    PALETTE,
    Drawing,
    empty_figure,
    in_house_style,
    legend_below,
)
from persona_geometry.report.probe import view_name
from persona_geometry.report.text import count, words

CHOSEN, OTHERS = "Chosen personas", "Others"
COLORS = {CHOSEN: PALETTE[4], OTHERS: NEUTRAL}
VIEWS = [PALETTE[k] for k in (0, 1, 2, 3, 5, 7)]


@in_house_style
def probe_figure(found: dict[str, Any], width: float) -> Drawing:
    """Draw a probe.

    Args:
        found: the content of probe.json.
        width: of the figure, in inches.

    Returns:
        The drawing; its table has a row for every point: panel, series, x and value.
    """
    table = pd.DataFrame(
        [*_distances(found), *_directions(found), *_positions(found), *_kinds(found)],
        columns=["panel", "series", "x", "value"],
    )
    down, across = (5, 1) if width < 5 else (2, 3)
    figure = empty_figure(width, 1.35 * down + 1.0)
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axis, (panel, draw) in zip(axes, PANELS.items(), strict=False):
        draw(axis, table[table["panel"] == panel])
    for axis in axes[len(PANELS) :]:
        axis.set_visible(False)
    views, groups = (figure.axes[place].get_legend_handles_labels()[0] for place in (0, 1))
    legend_below(figure, groups, views)
    chosen = ", ".join(map(words, found["personas"]))
    caption = (
        f"{chosen} beside {count(len(found['others']), 'other')}. By layer: their distance "
        f"relative to the others', by how centroids are looked at; how far they depart from the "
        f"others in one direction (pull); and the share of a centroid on leading principal "
        f"components of personas that it has no part in. By token: mean divergence by position in "
        f"the response and by kind of word. Description, not mechanism."
    )
    return Drawing(figure, table, caption)


def _distances(found: dict[str, Any]) -> list[tuple[str, str, Any, float]]:
    return [
        ("distance", view_name(view), layer, value)
        for view, of in found["layers"]["distances"].items()
        for layer, value in enumerate(of["relative"])
    ]


def _directions(found: dict[str, Any]) -> list[tuple[str, str, Any, float]]:
    """Pulls, and shares on all the components that were looked at."""
    rows: list[tuple[str, str, Any, float]] = []
    for panel, of in (
        ("pull", found["layers"]["pull"]),
        ("share", found["layers"]["shares"]["without"]),
    ):
        chosen = np.array([*of["chosen"].values()])
        for name, values in ((CHOSEN, chosen.mean(axis=0)), (OTHERS, np.array(of["others"]))):
            last = values if values.ndim == 1 else values[:, -1]
            rows += [(panel, name, layer, float(value)) for layer, value in enumerate(last)]
    return rows


def _groups(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {CHOSEN: found["tokens"]["chosen"], OTHERS: found["tokens"]["others"]}


def _positions(found: dict[str, Any]) -> list[tuple[str, str, Any, float]]:
    return [
        ("position", name, part["from"], part["mean"])
        for name, of in _groups(found).items()
        for part in of["by_position"]
    ]


def _kinds(found: dict[str, Any]) -> list[tuple[str, str, Any, float]]:
    return [
        ("kind", name, kind, part["mean"])
        for name, of in _groups(found).items()
        for kind, part in (of["by_kind"] or {}).items()
    ]


def _by_layer(axis: Axes, rows: pd.DataFrame, label: str) -> None:
    for color, (name, of) in zip(cycle(VIEWS), rows.groupby("series", sort=False), strict=False):
        axis.plot(of["x"], of["value"], lw=1.1, color=COLORS.get(name, color), label=name)
    axis.set_xlabel("Layer")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(label)
    axis.set_ylim(min(0, rows["value"].min() - 0.05), None)


def _draw_distances(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Distance among\nchosen / others")
    axis.axhline(1, color="black", lw=0.5)


def _draw_pulls(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Pull (cosine)")
    axis.axhline(0, color="black", lw=0.5)


def _draw_shares(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Share on others'\ncomponents")


def _draw_positions(axis: Axes, rows: pd.DataFrame) -> None:
    for name, of in rows.groupby("series", sort=False):
        edges = [*of["x"], max(1, 2 * of["x"].iloc[-1])]
        axis.stairs(
            of["value"], [edge + 1 for edge in edges], color=COLORS[name], label=name, lw=1.2
        )
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("Token of the response")
    axis.set_ylabel("Mean JS (nats)")
    axis.set_ylim(0, None)


def _draw_kinds(axis: Axes, rows: pd.DataFrame) -> None:
    kinds = list(dict.fromkeys(rows["x"]))
    for n, (name, of) in enumerate(rows.groupby("series", sort=False)):
        places = [kinds.index(kind) + 0.4 * n - 0.2 for kind in of["x"]]
        axis.bar(places, of["value"], 0.38, color=COLORS[name], label=name)
    axis.set_xticks(range(len(kinds)), [kind.replace(" ", "\n") for kind in kinds], fontsize=6)
    axis.set_ylabel("Mean JS (nats)")


PANELS = {
    "distance": _draw_distances,
    "pull": _draw_pulls,
    "share": _draw_shares,
    "position": _draw_positions,
    "kind": _draw_kinds,
}
