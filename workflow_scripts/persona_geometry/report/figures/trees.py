"""Both geometries as trees, the same personas linked."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.heatmap import PITCH, average_linkage, hierarchical_order
from persona_geometry.report.figures.robustness import cluster_entries
from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import (
    DARK,
    NEUTRAL,
    SMALLEST,
    TALLEST,
    Drawing,
    columns_of,
    empty_figure,
    in_house_style,
    readable,
    text_width,
)
from persona_geometry.report.text import count

LARGEST = 6.5  # points, of a name
ROW = 0.13  # inches, where there is room
EDGE, HEAD, LINE, LINKS, NEAR = 0.06, 0.34, 0.14, 0.45, 0.03  # inches


@in_house_style
def trees(shown: Shown) -> Drawing:
    """Average-linkage trees of cosine distances and of divergences, their leaves linked.

    The second tree is turned so that its leaves follow those of the first as far as it lets them.
    """
    layer, divergence = shown.headline, shown.divergence
    cosine = shown.compared.cosine[layer]
    names, n = cosine.names, len(cosine)
    left = np.argsort(hierarchical_order(cosine))
    right = np.argsort(following(average_linkage(divergence), left))
    height = min(ROW * n, TALLEST - HEAD - 0.6)
    named = n * PITCH <= height
    size = float(np.clip(height / n * 72 * 0.9, SMALLEST, LARGEST))
    figure = empty_figure(shown.width, 1.0, layout=None)
    entries = cluster_entries(shown.colors if shown.clusters else {})
    columns = columns_of(figure, [str(entry.get_label()) for entry in entries])
    below = EDGE + LINE * -(-len(entries) // columns)
    figure.set_figheight(HEAD + height + below)
    tree = 0.1 * shown.width
    most = (shown.width - LINKS) / 2 - EDGE - tree - 0.08
    label = text_width(figure, [readable(name) for name in names], size)
    if label > most:
        size, label = max(SMALLEST, size * most / label), most
    label = label + 0.08 if named else 0.05
    links = shown.width - 2 * (EDGE + tree + label)

    def axes(start: float, width: float) -> Axes:
        w, h = figure.get_size_inches()
        axis: Axes = figure.add_axes((start / w, below / h, width / w, height / h))
        axis.set_ylim(n - 0.5, -0.5)
        axis.set_axis_off()
        return axis

    for rdm, place, start, sign in (
        (cosine, left, EDGE, 1), (divergence, right, shown.width - EDGE - tree, -1)
    ):  # fmt: skip
        axis = axes(start, tree)
        for x, y in _branches(average_linkage(rdm), place):
            axis.plot(x, y, color=DARK, lw=0.7, solid_capstyle="round")
        root = max(float(rdm.vector.max(initial=0.0)), 1e-12)
        axis.set_xlim((root, 0) if sign == 1 else (0, root))
    middle = axes(EDGE + tree + label, links)
    middle.set_xlim(0, 1)
    for k, name in enumerate(names):
        cluster = shown.clusters.get(name)
        color = shown.colors[cluster] if cluster else NEUTRAL
        (line,) = middle.plot([0, 1], [left[k], right[k]], color=color, solid_capstyle="round")
        line.set(lw=1.5 if cluster else 0.8, zorder=3 if cluster else 2)
        for x, place, ha in (
            (-NEAR / links, left[k], "right"),
            (1 + NEAR / links, right[k], "left"),
        ):
            if named:
                middle.text(x, place, readable(name), ha=ha, va="center", fontsize=size)
    top = 1 - 0.08 / figure.get_figheight()
    figure.text(EDGE / shown.width, top, f"Cosine distance,\nlayer {layer}", va="top", fontsize=7)
    figure.text(1 - EDGE / shown.width, top, shown.name, va="top", ha="right", fontsize=7)
    if entries:
        figure.legend(handles=entries, loc="lower center", ncols=columns, borderaxespad=0.1)
    nearest = [_nearest(rdm) for rdm in (cosine, divergence)]
    table = pd.DataFrame(
        {
            "persona": names,
            "cluster": [shown.clusters.get(name) for name in names],
            "place_in_hidden_states": left + 1,
            "place_in_behavior": right + 1,
            "nearest_in_hidden_states": [names[k] for k in nearest[0]],
            "nearest_in_behavior": [names[k] for k in nearest[1]],
        }
    )
    same = int((nearest[0] == nearest[1]).sum())
    caption = (
        f"{shown.whom}. Average-linkage trees of the cosine distances at layer {layer} (left) and "
        f"of the {shown.name} (right); lines link the same persona, in the color of its cluster. "
        f"For {count(same, 'persona')} the nearest other persona is the same in both. "
        f"{'' if named else 'Names do not fit; the table beside the figure has them. '}"
        f"Each tree has a scale of its own."
    )
    return Drawing(figure, table, caption)


def following(tree: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Leaf order of a tree whose branches are turned towards wanted places.

    Args:
        tree: (N - 1, 4) linkage.
        wanted: (N,) place that each leaf would best have.
    """
    leaves = [[k] for k in range(len(wanted))]
    for one, other in tree[:, :2].astype(int):
        branches = sorted((leaves[one], leaves[other]), key=lambda leaf: np.mean(wanted[leaf]))
        leaves.append(branches[0] + branches[1])
    return leaves[-1]


def _branches(tree: np.ndarray, place: np.ndarray) -> list[tuple[list[float], list[float]]]:
    """Lines of a tree: heights and places of each fork's four corners."""
    at: list[tuple[float, float]] = [(0.0, float(p)) for p in place]
    lines = []
    for one, other, height, _ in tree:
        (h1, p1), (h2, p2) = at[int(one)], at[int(other)]
        lines.append(([h1, height, height, h2], [p1, p1, p2, p2]))
        at.append((float(height), (p1 + p2) / 2))
    return lines


def _nearest(rdm: Rdm) -> np.ndarray:
    """(N,) place of the nearest other persona."""
    distances = rdm.square + np.diag(np.full(len(rdm), np.inf))
    found: np.ndarray = distances.argmin(axis=1)
    return found
