"""Both RDMs and where they differ, by rank."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import dendrogram, leaves_list, linkage

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import square
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
from persona_geometry.report.text import number

PITCH = 5.2 / 72
"""Least height of a named row, in inches."""
LARGEST = 6.5  # points, of a name
GAP, EDGE, STRIP, TREE, TITLE, BAR, LINE = 0.14, 0.06, 0.06, 0.28, 0.2, 0.46, 0.14  # inches


def average_linkage(rdm: Rdm) -> np.ndarray:
    """(N - 1, 4) tree of average linkage, whose leaves stand near their like."""
    return np.asarray(linkage(rdm.vector, "average", optimal_ordering=True))


def hierarchical_order(rdm: Rdm) -> list[int]:
    """Leaf order of average linkage, which puts near personas beside each other."""
    return [int(leaf) for leaf in leaves_list(average_linkage(rdm))]


def percentiles(rdm: Rdm) -> np.ndarray:
    """(pairs,) percentile ranks of the distances, in (0, 100); ρ sees nothing else of them."""
    ranks: np.ndarray = 100 * (rdm.ranks / 2 - 0.5) / len(rdm.ranks)
    return ranks


@in_house_style
def heatmaps(shown: Shown, alphabetical: bool = False) -> Drawing:
    """Draw percentile ranks of both RDMs and their difference, in the order of a tree or by name.

    Args:
        shown: the study, of N personas.
        alphabetical: by name, without the tree of cosine distances.

    Returns:
        The drawing; its table has a row a pair, with distances and ranks.
    """
    layer, divergence = shown.headline, shown.divergence
    cosine = shown.compared.cosine[layer]
    names, n = cosine.names, len(cosine)
    tree = average_linkage(cosine)
    order = sorted(range(n), key=lambda i: names[i]) if alphabetical else leaves_list(tree).tolist()
    ranks = [percentiles(rdm) for rdm in (cosine, divergence)]
    difference = ranks[1] - ranks[0]
    most = float(np.ceil(max(10.0, np.abs(difference).max()) / 10) * 10)
    table = pd.DataFrame(cosine.pairs, columns=["first", "second"])
    table[f"cosine_distance_layer_{layer}"] = cosine.vector
    table["divergence"] = divergence.vector
    table["cosine_percentile"], table["divergence_percentile"] = ranks
    table["difference"] = difference
    by_rank = Normalize(0, 100), "viridis"
    apart = Normalize(-most, most), "RdBu_r"
    panels = [
        (f"Cosine distance, layer {layer}", ranks[0], by_rank),
        (shown.name, ranks[1], by_rank),
        ("Difference of ranks", difference, apart),
    ]
    grid = _Grid(shown, [readable(names[i]) for i in order], with_tree=not alphabetical)
    colors = [shown.colors.get(shown.clusters.get(names[i], ""), NEUTRAL) for i in order]
    for place, (title, values, (norm, name)) in enumerate(panels):
        full = square(values, n)
        np.fill_diagonal(full, np.nan)
        axis = grid.panel(place, title, colors if shown.clusters else [])
        cmap = colormaps[name].with_extremes(bad="0.88")
        axis.imshow(
            full[np.ix_(order, order)], cmap=cmap, norm=norm, aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
    if not alphabetical:
        grid.draw_tree(tree)
    grid.bar(0, ScalarMappable(*by_rank), "Percentile rank")
    grid.bar(1, ScalarMappable(*apart), "Behavior − hidden states")
    if shown.clusters:
        grid.legend(shown)
    ordered = "by name" if alphabetical else "by average linkage of the cosine distances (tree)"
    caption = (
        f"{shown.whom}. Percentile ranks of the cosine distances between centroids at layer "
        f"{layer} and of the {shown.name}, and the second less the first: red pairs are farther "
        f"apart in behavior than in hidden states, blue ones nearer. Ranks are what ρ compares; "
        f"{shown.agreement(layer)}. Rows and columns are the same personas, ordered {ordered}"
        f"{'; strips mark their clusters' if shown.clusters else ''}. The largest difference is "
        f"{number(float(np.abs(difference).max()), 0)} percentiles. {grid.remark}"
    )
    return Drawing(grid.figure, table, caption.strip())


class _Grid:
    """Three panels below or beside each other, in inches, with names where they can be read.

    Beside each other they share the names of rows, below each other those of columns.
    """

    def __init__(self, shown: Shown, names: Sequence[str], with_tree: bool) -> None:
        self.down = 3 if shown.narrow else 1
        self.names, self.width, n = names, shown.width, len(names)
        self.figure: Figure = empty_figure(self.width, 1.0, layout=None)
        self.legend_columns = self._columns(shown)
        entries = len(shown.colors) + 1 if shown.clusters else 0
        self.legend_rows = -(-entries // self.legend_columns)
        self.bottom = EDGE + self.legend_rows * LINE + BAR
        strip = STRIP if shown.clusters else 0.0
        self.strip, self.tree = strip, TREE if with_tree else 0.0
        label = text_width(self.figure, list(names), LARGEST) + 0.05

        def side(named: bool) -> float:
            across = 3 // self.down
            room = self.width - 2 * EDGE - strip * across - GAP * (across - 1)
            return (room - (label if named else 0.0)) / across

        tops = self.down * TITLE + strip * self.down + self.tree + GAP * (self.down - 1)
        room = TALLEST - self.bottom - tops
        if self.down == 1:
            self.rows = n * PITCH <= room - 0.9
            self.columns = side(self.rows) / n >= PITCH
        else:
            self.rows = side(True) / n >= PITCH
            self.columns = side(self.rows) / n >= PITCH
        self.side = side(self.rows)
        below = label if self.columns else 0.0
        least = n * PITCH if self.rows else 0.0
        self.height = min(max(self.side, least), (room - below) / self.down)
        self.bottom += below
        self.left = EDGE + (label if self.rows else 0.0) + strip
        self.figure.set_figheight(self.bottom + tops + self.down * self.height)
        self.axes: list[Axes] = []
        named = self.rows or self.columns
        self.remark = "" if named else "Names do not fit; the table beside the figure has them."

    def _columns(self, shown: Shown) -> int:
        return columns_of(self.figure, [readable(name) for name in shown.colors] + ["no cluster"])

    def _axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        w, h = self.figure.get_size_inches()
        axis: Axes = self.figure.add_axes((left / w, bottom / h, width / w, height / h))
        axis.tick_params(length=0, pad=1.5)
        axis.spines[:].set_visible(False)
        return axis

    def panel(self, place: int, title: str, colors: Sequence[str]) -> Axes:
        n, top = len(self.names), self.figure.get_figheight() - TITLE - self.tree - self.strip
        step = self.height + TITLE + GAP + self.strip
        if self.down == 1:
            left, bottom = self.left + place * (self.side + GAP + self.strip), self.bottom
        else:
            left, bottom = self.left, top - place * step - self.height
        axis = self._axes(left, bottom, self.side, self.height)
        above = self.strip + (self.tree if self.down == 1 or place == 0 else 0.0)
        axis.set_title(title, pad=above * 72 + 3, loc="left")
        last = place == 2 or self.down == 1
        for named, set_ticks, span, turned in (
            (self.columns and last, axis.set_xticks, self.side, 90),
            (self.rows and (self.down == 3 or place == 0), axis.set_yticks, self.height, 0),
        ):
            size = float(np.clip(span / n * 72 * 0.96, SMALLEST, LARGEST))
            if named:
                set_ticks(range(n), self.names, rotation=turned, fontsize=size)
            else:
                set_ticks([])
        if colors:
            cmap = ListedColormap([to_rgb(color) for color in colors])
            across = self._axes(left, bottom + self.height + 0.01, self.side, self.strip - 0.02)
            down = self._axes(left - self.strip + 0.01, bottom, self.strip - 0.02, self.height)
            for inset, shape in ((across, (1, n)), (down, (n, 1))):
                strip = np.arange(n).reshape(shape)
                inset.imshow(strip, aspect="auto", cmap=cmap, interpolation="nearest")
                inset.set_axis_off()
            axis.tick_params(axis="y", pad=self.strip * 72 + 1)
        self.axes.append(axis)
        return axis

    def draw_tree(self, tree: np.ndarray) -> None:
        """The tree above every panel of a row, or above the first of a column."""
        branches = dendrogram(tree, no_plot=True)
        for axis in self.axes if self.down == 1 else self.axes[:1]:
            w, h = self.figure.get_size_inches()
            box = axis.get_position()
            bottom = box.y1 * h + self.strip
            above = self._axes(box.x0 * w, bottom + 0.02, self.side, self.tree - 0.04)
            for x, y in zip(branches["icoord"], branches["dcoord"], strict=True):
                above.plot(np.array(x) / 10 - 0.5, y, color=DARK, lw=0.6)
            above.set_xlim(-0.5, len(self.names) - 0.5)
            above.set_ylim(0, None)
            above.set_axis_off()

    def bar(self, place: int, scale: ScalarMappable, label: str) -> None:
        """One of the two color bars below the panels: of both ranks, or of their difference."""
        left, side, step = self.left, self.side, 2 * (self.side + GAP + self.strip)
        if self.down == 3:
            left, side = EDGE, (self.width - 2 * EDGE - 0.3) / 2
            step = side + 0.3
        bottom = EDGE + self.legend_rows * LINE + 0.3
        # Labels of its ends are wider than it is.
        axis = self._axes(left + place * step + 0.06, bottom, side - 0.12, 0.07)
        bar = self.figure.colorbar(scale, cax=axis, orientation="horizontal")
        bar.set_label(label, fontsize=6.5, labelpad=1)
        bar.outline.set_linewidth(0.4)
        axis.tick_params(length=1.5, pad=1.5, labelsize=6)

    def legend(self, shown: Shown) -> None:
        handles = [Patch(color=c, label=readable(name)) for name, c in shown.colors.items()]
        handles.append(Patch(color=NEUTRAL, label="no cluster"))
        self.figure.legend(
            handles=handles, loc="lower center", ncols=self.legend_columns, borderaxespad=0.2
        )
