"""Every pair of personas on the plane of the two distances."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.style import PALETTE, empty_figure, in_house_style, readable
from persona_geometry.rsa.decoupling import decoupled
from persona_geometry.rsa.pairs import SIGNED, pair_table

RELATIONS = {
    "within_cluster": ("Within a cluster", "D", PALETTE[0]),
    "same_macro": ("Same macro-cluster", "o", PALETTE[3]),
    "cross_macro": ("Across macro-clusters", "^", PALETTE[1]),
}

LEADER = {"arrowstyle": "-", "lw": 0.4, "color": "0.4", "shrinkA": 1, "shrinkB": 4, "patchA": None}


@in_house_style
def scatter(
    clusters: dict[str, str],
    cosine: Rdm,
    divergence: Rdm,
    layer: int,
    statistics: dict[str, Any],
    measure: str,
) -> tuple[Figure, pd.DataFrame]:
    """Draw pairs by relation, and circle and name the largest residual pairs.

    A pair that deviates in opposite directions has a solid circle, one that deviates the same way
    in both geometries a dotted one: only the first kind is decoupled.

    Args:
        clusters: fine cluster of every clustered persona.
        cosine, divergence: RDMs of the personas without the anchor.
        layer: layer of the cosine distances.
        statistics: `layers.{layer}` of alignment.json.
        measure: name and unit of the divergence, for its axis.
    """
    table = pd.DataFrame(pair_table(clusters, cosine, divergence))
    figure = empty_figure(4.8, 3.7)
    axis = figure.subplots()
    for relation, (label, marker, color) in RELATIONS.items():
        rows = table[table["relation"] == relation]
        if len(rows):
            axis.scatter(
                rows["cosine"],
                rows["js"],
                s=13,
                marker=marker,
                color=color,
                alpha=0.75,
                lw=0,
                label=f"{label} (n = {len(rows)})",
            )
    top = statistics["top_residual_pairs"]
    axis.margins(0.08)
    rho = statistics["spearman"]
    if rho is not None:
        axis.set_title(f"ρ = {rho:z.2f}, {len(table)} pairs", loc="left")
    axis.set_xlabel(f"Cosine distance of centroids, layer {layer}")
    axis.set_ylabel(measure)
    figure.legend(
        loc="outside lower center", ncols=3, fontsize=6, columnspacing=0.6, handletextpad=0.0
    )
    _name(figure, axis, table, top)
    leading = {frozenset(row["pair"]): rank for rank, row in enumerate(top, start=1)}
    table["residual_rank"] = [leading.get(frozenset(pair)) for pair in table["pair"]]
    table[["first", "second"]] = table.pop("pair").to_list()
    return figure, table.drop(columns=list(SIGNED))


def _name(figure: Figure, axis: Axes, table: pd.DataFrame, top: list[dict[str, Any]]) -> None:
    """Circle points and write their names beside them, where they cover the least."""
    if not top:
        return
    for opposite, style in ((True, "-"), (False, ":")):
        rows = [row for row in top if decoupled(row) is opposite]
        if rows:
            axis.scatter(
                [row["cosine"] for row in rows],
                [row["js"] for row in rows],
                s=52,
                facecolor="none",
                edgecolor="black",
                lw=0.8,
                linestyle=style,
            )
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # names must not move the axes they were placed in
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    box = axis.get_window_extent()
    points = axis.transData.transform(table[["cosine", "js"]].to_numpy())
    radius = renderer.points_to_pixels(4)
    circled = axis.transData.transform([(row["cosine"], row["js"]) for row in top])
    taken = [Bbox([place - radius, place + radius]) for place in circled]
    for row in sorted(top, key=lambda row: -row["js"]):
        text = f"{readable(row['pair'][0])} – {readable(row['pair'][1])}"
        tried = []
        for dx, dy in _offsets():
            note = axis.annotate(
                text,
                (row["cosine"], row["js"]),
                (dx, dy),
                textcoords="offset points",
                fontsize=6,
                ha="left" if dx > 0 else "right",
                va="center",
                arrowprops={**LEADER, "relpos": (0 if dx > 0 else 1, 0.5)},
            )
            # The text alone: an annotation's own extent takes its arrow in.
            note.update_positions(renderer)
            extent = Text.get_window_extent(note, renderer).expanded(1.02, 1.15)
            outside = not (
                box.x0 <= extent.x0
                and extent.x1 <= box.x1
                and box.y0 <= extent.y0
                and extent.y1 <= box.y1
            )
            clash = sum(extent.overlaps(other) for other in taken)
            tried.append(((outside, clash, extent.count_contains(points)), note, extent))
        _, chosen, extent = min(tried, key=lambda entry: entry[0])
        for _, note, _ in tried:
            if note is not chosen:
                note.remove()
        taken.append(extent)


def _offsets() -> list[tuple[int, int]]:
    return [
        (sign * dx, dy)
        for distance in (9, 16, 24, 34, 46, 60, 76)
        for dx, dy in ((9, distance - 9), (9, 9 - distance), (distance, 0))
        for sign in (1, -1)
    ]
