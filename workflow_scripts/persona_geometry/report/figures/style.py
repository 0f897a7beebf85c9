"""How figures look, and how they are saved.

Figures are drawn and saved within the house style and without pyplot, so nobody else's figures,
backend or settings change.
"""

import io
from typing import Any

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from persona_geometry.files import write_atomically, write_table
from persona_geometry.report.text import words

# Okabe & Ito's palette, told apart by color-blind readers.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
NEUTRAL = "#9A9A9A"
COLUMN, PAGE = 3.5, 7.2  # inches
LONGEST_LABEL = 24  # characters
# Keeps text apart from what it is drawn over.
HALO = [withStroke(linewidth=1.6, foreground="white")]

STYLE: dict[Any, Any] = {
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


# A decorator. It starts from Matplotlib's defaults, so that the user's own settings change nothing.
in_house_style = matplotlib.style.context(STYLE, after_reset=True)


class HouseFigure(Figure):
    """A figure that keeps the house style wherever it is drawn: ticks are made when it is."""

    draw = in_house_style(Figure.draw)


def empty_figure(width: float, height: float) -> Figure:
    """A figure without axes, in inches; called, as all that adds to it, in the house style."""
    figure = HouseFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@in_house_style
def save(figure: Figure, data: pd.DataFrame, png: str, pdf: str, tsv: str) -> None:
    """Write a figure as PNG and PDF, and what it shows as TSV."""
    write_atomically(png, _rendered(figure, "png"))
    # No date, so that equal data give equal files.
    write_atomically(pdf, _rendered(figure, "pdf", metadata={"CreationDate": None}))
    write_table(tsv, data)


def _rendered(figure: Figure, ending: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=ending, **options)
    return stream.getvalue()


def readable(name: str) -> str:
    """A name for a label: without underscores, the middle of a long one left out."""
    label = words(name)
    kept = LONGEST_LABEL // 2
    return label if len(label) <= LONGEST_LABEL else f"{label[:kept].rstrip()}…{label[-kept:]}"


def cluster_colors(clusters: dict[str, str]) -> dict[str, str]:
    """A color of its own for each cluster, in order of appearance."""
    names = list(dict.fromkeys(clusters.values()))
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    spread = matplotlib.colormaps["turbo"].resampled(len(names))
    return {name: to_hex(spread(i)) for i, name in enumerate(names)}
