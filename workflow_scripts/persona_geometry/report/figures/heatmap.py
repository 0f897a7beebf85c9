"""Both RDMs side by side, in two orders."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.cluster.hierarchy import leaves_list, linkage

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.style import (
    NEUTRAL,
    PAGE,
    cluster_colors,
    empty_figure,
    in_house_style,
    readable,
)

MOST_LABELS = 60


def hierarchical_order(rdm: Rdm) -> list[int]:
    """Leaf order of average linkage, which puts near personas beside each other."""
    tree = linkage(rdm.vector, "average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


@in_house_style
def heatmaps(
    clusters: dict[str, str],
    cosine: Rdm,
    divergence: Rdm,
    layer: int,
    measure: str,
) -> tuple[Figure, pd.DataFrame]:
    """Draw cosine distances above divergences, ordered by linkage (left) and by name (right).

    Args:
        clusters: fine cluster of every clustered persona.
        cosine, divergence: RDMs of the same N personas.
        layer: layer of the cosine distances.
        measure: name and unit of the divergence, for its color bar.

    Returns:
        The figure, and its values with one row a pair.
    """
    personas, n = cosine.names, len(cosine)
    orders = {
        "Hierarchical order": hierarchical_order(cosine),
        "Alphabetical order": sorted(range(n), key=lambda i: personas[i]),
    }
    colors = cluster_colors(clusters)
    figure = empty_figure(PAGE, PAGE * 1.03 if n <= MOST_LABELS else PAGE * 0.9)
    panels = ((cosine, f"Cosine distance, layer {layer}"), (divergence, measure))
    axes = figure.subplots(2, 2)
    for row, (rdm, name) in zip(axes, panels, strict=True):
        for axis, (title, order) in zip(row, orders.items(), strict=True):
            shown = rdm.square[np.ix_(order, order)]
            image = axis.imshow(shown, cmap="viridis", vmin=0.0, vmax=shown.max() or 1.0)
            if rdm is cosine:
                axis.set_title(title)
            _label(axis, [personas[i] for i in order], clusters, colors)
        bar = figure.colorbar(image, ax=row, fraction=0.03, pad=0.01, shrink=0.75)
        bar.set_label(name)
        bar.outline.set_linewidth(0.4)
    handles = [Patch(color=color, label=readable(name)) for name, color in colors.items()]
    if handles:
        handles.append(Patch(color=NEUTRAL, label="no cluster"))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)))
    table = pd.DataFrame(cosine.pairs, columns=["first", "second"])
    table[f"cosine_distance_layer_{layer}"] = cosine.vector
    table["divergence"] = divergence.vector
    return figure, table


def _label(
    axis: Axes, names: Sequence[str], clusters: dict[str, str], colors: dict[str, str]
) -> None:
    n = len(names)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, pad=6.5)  # beyond the strips, which reach 5.5 points at most
    if n <= MOST_LABELS:
        size = float(np.clip(160 / n, 2.5, 6.5))
        labels = [readable(name) for name in names]
        axis.set_xticks(range(n), labels, rotation=90, fontsize=size)
        axis.set_yticks(range(n), labels, fontsize=size)
    else:
        axis.set_xticks([])
        axis.set_yticks([])
    if not colors:
        return
    strip = np.array([to_rgb(colors.get(clusters.get(name, ""), NEUTRAL)) for name in names])
    across = axis.inset_axes((0, -0.022, 1, 0.018))
    down = axis.inset_axes((-0.022, 0, 0.018, 1))
    cmap = ListedColormap(strip)
    across.imshow(np.arange(n)[None, :], aspect="auto", cmap=cmap, interpolation="nearest")
    down.imshow(np.arange(n)[:, None], aspect="auto", cmap=cmap, interpolation="nearest")
    for inset in (across, down):
        inset.set_axis_off()
