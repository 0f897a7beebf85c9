"""How the agreement changes with depth."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from persona_geometry.report.figures.style import (
    COLUMN,
    HALO,
    NEUTRAL,
    PAGE,
    PALETTE,
    empty_figure,
    in_house_style,
)
from persona_geometry.report.text import p_value
from persona_geometry.rsa.significance import LEVEL, significant

STATISTICS = {
    "spearman": "Raw",
    "partial_fine": "Partial, fine clusters",
    "partial_joint": "Partial, fine and macro clusters",
    "cluster_masked": "Clusters masked",
    "cluster_collapsed": "Clusters collapsed",
    "residual_mean_marginal": "Residual, mean marginals",
    "residual_anchor": "Residual, anchor",
}


@in_house_style
def layer_bars(alignment: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Grouped bars of each statistic at each configured layer, with its gates' thresholds.

    Args:
        alignment: the content of alignment.json.
    """
    layers = alignment["layers"]
    shown = {
        key: label
        for key, label in STATISTICS.items()
        if any(layer[key] is not None for layer in layers.values())
    }
    figure = empty_figure(PAGE, 3.0)
    axis = figure.subplots()
    width = 0.84 / max(1, len(shown))
    rows = []
    for s, (key, label) in enumerate(shown.items()):
        for x, (name, layer) in enumerate(layers.items()):
            value = layer[key]
            rows.append(
                {
                    "layer": int(name),
                    "statistic": key,
                    "value": value,
                    "mantel_p": layer["mantel_p"] if key == "spearman" else None,
                }
            )
            if value is None:
                continue
            at = x - 0.42 + (s + 0.5) * width
            axis.bar(
                at,
                value,
                width * 0.92,
                color=PALETTE[s],
                label=label if not axis.get_legend_handles_labels()[1].count(label) else None,
            )
            if key == "spearman" and layer["mantel_p"] is not None:
                axis.annotate(
                    f"p = {p_value(layer['mantel_p'])}",
                    (at, max(value, 0)),
                    (0, 2),
                    textcoords="offset points",
                    rotation=90,
                    fontsize=5,
                    ha="center",
                    va="bottom",
                    path_effects=HALO,
                )
    places = {int(name): x for x, name in enumerate(layers)}
    for gate in alignment["gates"]:
        if gate["statistic"] in shown:
            ending = " (not evaluated)" if gate["passed"] is None else ""
            color = PALETTE[list(shown).index(gate["statistic"])]
            x = places[gate["layer"]]
            axis.plot(
                [x - 0.48, x + 0.48],
                [gate["threshold"]] * 2,
                color=color,
                lw=0.8,
                ls=(0, (4, 2)),
                zorder=0,
            )
            axis.annotate(
                f"Layer {gate['layer']}: gate {gate['comparison']} {gate['threshold']:g}{ending}",
                (1.0, gate["threshold"]),
                (2, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                fontsize=5.5,
                va="center",
                color=color,
            )
    axis.axhline(0, color="black", lw=0.6)
    axis.set_xticks(range(len(layers)), [f"Layer {name}" for name in layers])
    axis.set_ylabel("Spearman's ρ")
    axis.set_ylim(min(0.0, axis.get_ylim()[0]), max(1.12, axis.get_ylim()[1]))
    axis.set_yticks([t for t in np.arange(-1, 1.01, 0.25) if t >= axis.get_ylim()[0]])
    if axis.patches:
        figure.legend(loc="outside lower center", ncols=4)
    return figure, pd.DataFrame(rows, columns=["layer", "statistic", "value", "mantel_p"])


@in_house_style
def layer_curve(alignment: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """ρ at every layer, significant ones filled, with the noise ceiling where there is one.

    A layer without a correlation is not drawn.
    """
    curve = alignment["layer_curve"]
    table = pd.DataFrame([{"layer": int(name), **values} for name, values in curve.items()])
    figure = empty_figure(COLUMN, 2.5)
    axis = figure.subplots()
    axis.plot(table["layer"], table["spearman"].astype(float), color=PALETTE[0], lw=1.2, zorder=2)
    p = table["family_wise_p"].astype(float)  # nan where there is none
    for chosen, fill, label in (
        (significant(p), PALETTE[0], f"Family-wise p ≤ {LEVEL}"),
        (p.notna() & ~significant(p), "white", f"Family-wise p > {LEVEL}"),
    ):
        if chosen.any():
            axis.scatter(
                table["layer"][chosen],
                table["spearman"][chosen].astype(float),
                s=14,
                color=fill,
                edgecolor=PALETTE[0],
                lw=0.9,
                zorder=3,
                label=label,
            )
    ceiling = alignment["noise_ceiling"]
    if ceiling["rho_ceiling"] is not None:
        axis.axhspan(ceiling["low"], ceiling["high"], color=NEUTRAL, alpha=0.35, lw=0)
        axis.axhline(ceiling["rho_ceiling"], color=NEUTRAL, lw=0.9, label="Noise ceiling")
    headline = alignment["headline_layer"]
    axis.axvline(
        headline, color=PALETTE[4], lw=0.8, ls=(0, (2, 2)), zorder=0, label="Headline layer"
    )
    axis.axhline(0, color="black", lw=0.5)
    axis.set_xlabel("Layer")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("Spearman's ρ")
    lowest = table["spearman"].astype(float).min()  # nan where none was computed
    axis.set_ylim(-0.1 if np.isnan(lowest) else min(-0.1, lowest - 0.1), 1.05)
    figure.legend(loc="outside lower center", ncols=2)
    return figure, table
