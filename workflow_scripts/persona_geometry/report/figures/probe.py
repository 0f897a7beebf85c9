"""Chosen personas beside the others: by layer, by position and by kind of word."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from persona_geometry.report.figures.style import (
    NEUTRAL,
    PAGE,
    PALETTE,
    empty_figure,
    in_house_style,
)
from persona_geometry.report.probe import view_name

CHOSEN, OTHERS = "Chosen personas", "Others"
COLORS = {CHOSEN: PALETTE[4], OTHERS: NEUTRAL}


@in_house_style
def probe_figure(found: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Draw a probe.

    Args:
        found: the content of probe.json.

    Returns:
        The figure, and a row for every point: panel, series, x and value.
    """
    table = pd.DataFrame(
        [*_distances(found), *_directions(found), *_positions(found), *_kinds(found)],
        columns=["panel", "series", "x", "value"],
    )
    figure = empty_figure(PAGE, 3.9)
    first, names, *axes = figure.subplots(2, 3).flat
    for axis, (panel, draw) in zip([first, *axes], PANELS.items(), strict=True):
        draw(axis, table[table["panel"] == panel])
    names.axis("off")
    lines, views = first.get_legend_handles_labels()
    views = [view.replace(", ", ",\n") for view in views]
    legend = names.legend(
        lines, views, loc="center left", bbox_to_anchor=(-0.2, 0.5), title="Centroids"
    )
    legend.set_in_layout(False)
    return figure, table


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
    for n, (name, of) in enumerate(rows.groupby("series", sort=False)):
        axis.plot(of["x"], of["value"], lw=1.1, color=COLORS.get(name, PALETTE[n]), label=name)
    axis.set_xlabel("Layer")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(label)
    axis.set_ylim(min(0, rows["value"].min() - 0.05), None)


def _draw_distances(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Distance among the chosen\nover that among others")
    axis.axhline(1, color="black", lw=0.5)


def _draw_pulls(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Pull (cosine)")
    axis.axhline(0, color="black", lw=0.5)
    axis.legend()


def _draw_shares(axis: Axes, rows: pd.DataFrame) -> None:
    _by_layer(axis, rows, "Share on others'\nleading components")


def _draw_positions(axis: Axes, rows: pd.DataFrame) -> None:
    for name, of in rows.groupby("series", sort=False):
        edges = [*of["x"], max(1, 2 * of["x"].iloc[-1])]
        axis.stairs(
            of["value"], [edge + 1 for edge in edges], color=COLORS[name], label=name, lw=1.2
        )
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("Token of the response")
    axis.set_ylabel("Mean JS divergence (nats)")
    axis.set_ylim(0, None)


def _draw_kinds(axis: Axes, rows: pd.DataFrame) -> None:
    kinds = list(dict.fromkeys(rows["x"]))
    for n, (name, of) in enumerate(rows.groupby("series", sort=False)):
        places = [kinds.index(kind) + 0.4 * n - 0.2 for kind in of["x"]]
        axis.bar(places, of["value"], 0.38, color=COLORS[name], label=name)
    axis.set_xticks(range(len(kinds)), [kind.replace(" ", "\n") for kind in kinds], fontsize=5.5)
    axis.set_ylabel("Mean JS divergence (nats)")


PANELS = {
    "distance": _draw_distances,
    "pull": _draw_pulls,
    "share": _draw_shares,
    "position": _draw_positions,
    "kind": _draw_kinds,
}
