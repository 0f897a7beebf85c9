"""Every pair of personas on the plane of the two distances."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

from persona_geometry.report.claims import prediction
from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import (
    DARK,
    GATE,
    HALO,
    Drawing,
    empty_figure,
    freeze,
    in_house_style,
    legend_below,
    marker,
    readable,
    text_width,
)
from persona_geometry.report.text import count, interval, number, p_value
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.pairs import SIGNED, pair_table

RELATIONS = {
    "within_cluster": ("Within a cluster", "D", DARK),
    "same_macro": ("Same macro-cluster", "o", "#707070"),
    "cross_macro": ("Across macro-clusters", "^", "#B4B4B4"),
}
HIDDEN = "Decoupled: nearer in hidden states than in behavior"
BEHAVIOR = "Decoupled: nearer in behavior than in hidden states"
PREDICTED = "Predicted to stand out"
KEY = 6.0  # points
RASTERIZED = 2000
"""Points from which they are drawn as pixels, also in a vector format."""
LINE = 0.125  # inches, of the key


@in_house_style
def scatter(shown: Shown, layer: int) -> Drawing:
    """Draw pairs by relation; number those that are decoupled, and letter the predicted ones.

    A pair is decoupled that is nearer than its radial structure says in one geometry and farther in
    the other. The key below the axes has the names, so that none covers a point.

    Args:
        shown: the study.
        layer: a configured layer.
    """
    of = shown.layers[layer]
    cosine, divergence = shown.compared.cosine[layer], shown.divergence
    table = pd.DataFrame(pair_table(shown.clusters, shown.compared.macro, cosine, divergence))
    marks = _marks(of)
    lines = [line for heading, rows in marks.items() for line in _lines(heading, rows)]
    key = LINE * len(lines) + (0.1 if lines else 0.0)
    figure = empty_figure(shown.width, 0.72 * min(shown.width, 4.6) + 0.75 + key)
    axis = figure.subplots()
    entries = []
    for relation, (label, shape, color) in RELATIONS.items():
        rows = table[table["relation"] == relation]
        if not len(rows):
            continue
        colors = [color] * len(rows)
        if relation == "within_cluster":
            colors = [shown.colors[shown.clusters[first]] for first, _ in rows["pair"]]
        axis.scatter(
            rows["cosine"], rows["js"], s=13, marker=shape, c=colors, alpha=0.8, lw=0, label=label,
            rasterized=len(table) > RASTERIZED, zorder=2 + (relation == "within_cluster"),
        )  # fmt: skip
        entries.append(marker(shape, f"{label} (n = {len(rows):,})", color=color, ms=4))
    axis.margins(0.08)
    axis.set_title(_title(shown, of, layer, len(table)), loc="left", fontsize=7)
    axis.set_xlabel(f"Cosine distance of centroids, layer {layer}")
    axis.set_ylabel(shown.measure)
    within = table["pair"][table["relation"] == "within_cluster"]
    kinds = {shown.clusters[first] for first, _ in within}
    clusters = [Patch(color=c, label=readable(k)) for k, c in shown.colors.items() if k in kinds]
    legend_below(figure, entries, clusters, bottom=key)
    named = {
        frozenset(row["pair"]): (heading, sign)
        for heading, rows in marks.items()
        for sign, row in rows
    }
    _mark(figure, axis, table, marks)
    _write_key(figure, lines)
    table["mark"] = [named.get(frozenset(pair), (None, None))[1] for pair in table["pair"]]
    table["marked_as"] = [named.get(frozenset(pair), (None, None))[0] for pair in table["pair"]]
    table[["first", "second"]] = table.pop("pair").to_list()
    return Drawing(figure, table.drop(columns=list(SIGNED)), _caption(shown, of, layer, marks))


def _marks(of: dict[str, Any]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Pairs to mark: the decoupled ones among the most decoupled, and the predicted ones."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {HIDDEN: [], BEHAVIOR: [], PREDICTED: []}
    decoupled = [row for row in of["decoupling"]["pairs"] if row["decoupled"]]
    decoupled.sort(key=lambda row: row["z_difference"] < 0)
    for k, row in enumerate(decoupled, start=1):
        found[HIDDEN if row["z_difference"] > 0 else BEHAVIOR].append((str(k), row))
    for k, row in enumerate((of["predictions"] or {"pairs": []})["pairs"]):
        found[PREDICTED].append((_letter(k), row))
    return {heading: rows for heading, rows in found.items() if rows}


def _letter(k: int) -> str:
    return chr(ord("a") + k % 26) * (k // 26 + 1)


def _lines(heading: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    pairs = [(sign, " – ".join(map(readable, row["pair"]))) for sign, row in rows]
    return [("", heading), *pairs]


def _title(shown: Shown, of: dict[str, Any], layer: int, n_pairs: int) -> str:
    size = f"{count(n_pairs, 'pair')} of {count(len(shown.divergence), 'persona')}"
    if of["spearman"] is None:
        return f"Layer {layer}, {size}:\nno ρ, since a geometry does not vary"
    ends = widest(of["intervals"])
    spread = f", 95 % interval {interval(ends)}" if ends["low"] is not None else ""
    agreement = f"ρ = {number(of['spearman'])}{spread}".replace("-", "−")
    return f"{agreement}\none-sided Mantel p = {p_value(of['mantel_p'])}, {size}"


def _caption(
    shown: Shown, of: dict[str, Any], layer: int, marks: dict[str, list[tuple[str, Any]]]
) -> str:
    n = sum(len(marks.get(heading, ())) for heading in (HIDDEN, BEHAVIOR))
    predicted = of["predictions"]
    return (
        f"{shown.whom}. Every pair of personas by cosine distance and {shown.name}; "
        f"{shown.agreement(layer)}. Circled and numbered: {count(n, 'pair')} among the most "
        f"decoupled that are nearer in one geometry, and farther in the other, than their "
        f"distances from all other personas say."
        + (
            f" In squares: the pairs that were predicted to be among those that the radial "
            f"covariate fits worst; the prediction {prediction(predicted)}."
            if predicted
            else ""
        )
    )


def _mark(
    figure: Figure, axis: Axes, table: pd.DataFrame, marks: dict[str, list[tuple[str, Any]]]
) -> None:
    """Circle and number, or square and letter, where the sign covers no point if that can be."""
    for heading, rows in marks.items():
        shape = "s" if heading == PREDICTED else "o"
        x, y = ([row[key] for _, row in rows] for key in ("cosine", "js"))
        color = GATE if heading == BEHAVIOR else "black"
        axis.scatter(x, y, s=52, marker=shape, facecolor="none", edgecolor=color, lw=0.9, zorder=5)
    freeze(figure)
    points = axis.transData.transform(table[["cosine", "js"]].to_numpy())
    scale = figure.dpi / 72
    marked = [(row["cosine"], row["js"]) for rows in marks.values() for _, row in rows]
    radius = 4 * scale
    circled = axis.transData.transform(np.array(marked).reshape(-1, 2))
    taken = [Bbox([place - radius, place + radius]) for place in circled]
    for rows in marks.values():
        for sign, row in rows:
            place = axis.transData.transform((row["cosine"], row["js"]))
            half = np.array([2.1 * len(sign) + 0.6, 3.2]) * scale
            boxes = {
                (dx, dy): Bbox([place + np.array([dx, dy]) * scale - half,
                                place + np.array([dx, dy]) * scale + half])
                for dx, dy in _offsets()
            }  # fmt: skip
            inside = axis.get_window_extent()

            def cost(offset: tuple[float, float], boxes: Any = boxes, inside: Any = inside) -> Any:
                box = boxes[offset]
                outside = not (inside.contains(*box.min) and inside.contains(*box.max))
                covered = box.padded(1.5 * scale).count_contains(points)
                return outside, box.count_overlaps(taken) + covered, np.hypot(*offset)

            best = min(boxes, key=cost)
            taken.append(boxes[best])
            axis.annotate(
                sign, (row["cosine"], row["js"]), best, textcoords="offset points", ha="center",
                va="center", fontsize=6.5, path_effects=HALO, zorder=6,
                arrowprops={"arrowstyle": "-", "lw": 0.5, "shrinkA": 2, "shrinkB": 4}
                if np.hypot(*best) > 10 else None,
            )  # fmt: skip


def _offsets() -> list[tuple[float, float]]:
    angles = np.arange(16) * np.pi / 8
    return [
        (float(r * np.cos(a)), float(r * np.sin(a)))
        for r in (8, 11, 15, 20, 26, 34, 44)
        for a in angles
    ]


def _write_key(figure: Figure, lines: Sequence[tuple[str, str]]) -> None:
    """The names of the marked pairs below everything else."""
    width, height = figure.get_size_inches()
    indent = text_width(figure, [sign for sign, _ in lines], KEY) + 0.06 if lines else 0.0
    for k, (sign, text) in enumerate(lines):
        y = (LINE * (len(lines) - k) - 0.03) / height
        left = 0.1 if not sign else 0.2
        figure.text(left / width, y, sign, fontsize=KEY, va="center", weight="bold")
        figure.text(
            (left + (indent if sign else 0.0)) / width, y, text, fontsize=KEY, va="center",
            color=DARK if not sign else "black", style="normal" if sign else "italic",
        )  # fmt: skip
