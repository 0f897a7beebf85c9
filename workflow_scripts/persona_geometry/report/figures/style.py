"""How figures look, and how they are saved."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

# Okabe & Ito's palette, told apart by color-blind readers.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
NEUTRAL = "#9A9A9A"
COLUMN, PAGE = 3.5, 7.2  # inches
LONGEST_LABEL = 24  # characters
# Keeps text apart from what it is drawn over.
HALO = [withStroke(linewidth=1.6, foreground="white")]

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


def styled(width: float, height: float) -> Figure:
    """An empty figure in the house style, in inches."""
    plt.style.use(STYLE)
    return plt.figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, data: pd.DataFrame, png: str, pdf: str, tsv: str) -> None:
    """Write a figure as PNG and PDF, and what it shows as TSV."""
    for path in (png, pdf, tsv):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png)
    # No date, so that equal data give equal files.
    figure.savefig(pdf, metadata={"CreationDate": None})
    data.to_csv(tsv, sep="\t", index=False, na_rep="NA")
    plt.close(figure)


def readable(name: str) -> str:
    """A name for a label: without underscores, the middle of a long one left out."""
    words = name.replace("_", " ")
    kept = LONGEST_LABEL // 2
    return words if len(words) <= LONGEST_LABEL else f"{words[:kept].rstrip()}…{words[-kept:]}"


def cluster_colors(clusters: dict[str, str]) -> dict[str, str]:
    """A color of its own for each cluster, in order of appearance."""
    names = list(dict.fromkeys(clusters.values()))
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    spread = matplotlib.colormaps["turbo"].resampled(len(names))
    return {name: to_hex(spread(i)) for i, name in enumerate(names)}
