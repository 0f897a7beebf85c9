"""How figures look, and how they are saved.

Figures are drawn and saved within the house style and without pyplot, so nobody else's figures,
backend or settings change. A figure is drawn at the width it is printed at: no text is smaller than
`SMALLEST` points there.
"""

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from persona_geometry.files import write_atomically, write_table, write_text
from persona_geometry.report.figures import WIDTHS
from persona_geometry.report.text import words

# Okabe & Ito's palette, told apart by color-blind readers.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")
NEUTRAL = "#9A9A9A"
DARK = "#404040"
GATE = PALETTE[4]
COLUMN, PAGE = WIDTHS["column"], WIDTHS["page"]
TALLEST = 9.3  # inches, what a page holds
SMALLEST = 5.0  # points
LEGEND_LINE = 0.14  # inches
LONGEST_LABEL = 24  # characters
# Keeps text apart from what it is drawn over.
HALO = [withStroke(linewidth=1.6, foreground="white")]

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "pdf.fonttype": 42,
    "svg.hashsalt": "persona-geometry",
    # Laid out in the pixels it is saved in: widths of text depend on them.
    "figure.dpi": 300,
    "savefig.dpi": 300,
}

UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""Metadata without a date, so that equal data give equal files."""


# A decorator. It starts from Matplotlib's defaults, so that the user's own settings change nothing.
in_house_style = matplotlib.style.context(STYLE, after_reset=True)


@dataclass(frozen=True)
class Drawing:
    """A figure, a table of what it shows, and its caption."""

    figure: Figure
    table: pd.DataFrame
    caption: str


class HouseFigure(Figure):
    """A figure that keeps the house style wherever it is drawn: ticks are made when it is."""

    draw = in_house_style(Figure.draw)


def empty_figure(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """A figure without axes, in inches; called, as all that adds to it, in the house style."""
    figure = HouseFigure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


@in_house_style
def refused(width: float, columns: list[str], reason: str) -> Drawing:
    """The place of a figure that cannot be drawn, with the reason in it."""
    figure = empty_figure(width, 1.0)
    characters = int(width * 19)
    text = textwrap.fill(reason, characters)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=DARK)
    return Drawing(figure, pd.DataFrame(columns=columns), f"Not drawn: {reason}")


@in_house_style
def save(drawing: Drawing, stem: str | Path) -> None:
    """Write a figure as PNG, PDF and SVG, what it shows as TSV and its caption as text.

    Args:
        drawing: what to write.
        stem: path of the files without their endings.
    """
    freeze(drawing.figure)
    for ending, metadata in UNDATED.items():
        stream = io.BytesIO()
        drawing.figure.savefig(stream, format=ending, metadata=metadata)
        write_atomically(f"{stem}.{ending}", stream.getvalue())
    write_table(f"{stem}.tsv", drawing.table)
    write_text(f"{stem}.rst", as_template(drawing.caption) + "\n")


def save_all(
    drawn: Mapping[str, Callable[[], Drawing]], folder: str | Path, processes: int
) -> None:
    """Draw figures and write them to a folder, in some processes of their own.

    Args:
        drawn: name to what draws the figure; what it needs goes to the process.
        folder: of the files.
        processes: how many draw at once.
    """
    with ProcessPoolExecutor(processes) as pool:
        stems = [Path(folder) / name for name in drawn]
        list(pool.map(_draw_and_save, drawn.values(), stems))


def _draw_and_save(draw: Callable[[], Drawing], stem: Path) -> None:
    save(draw(), stem)


def as_template(text: str) -> str:
    """Text as a template of reStructuredText, which a caption is to Snakemake's report.

    What these take for their own is escaped; in a name it is a character like others.
    """
    escaped = re.sub(r"([\\*`|_])", r"\\\1", text)
    return textwrap.fill(escaped, 100, break_on_hyphens=False).replace("{", "{{ '{' }}")


def freeze(figure: Figure) -> None:
    """Lay a figure out, once and for all."""
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def readable(name: str) -> str:
    """A name for a label: without underscores, the middle of a long one left out."""
    label = words(name)
    kept = LONGEST_LABEL // 2
    return label if len(label) <= LONGEST_LABEL else f"{label[:kept].rstrip()}…{label[-kept:]}"


def cluster_colors(clusters: dict[str, str]) -> dict[str, str]:
    """A color of its own for each cluster, in order of appearance.

    The palette without black as it is, then lighter, then darker, which readers see who cannot
    tell its hues apart.
    """
    return {name: _shade(k) for k, name in enumerate(dict.fromkeys(clusters.values()))}


def _shade(k: int) -> str:
    rounds, place = divmod(k, len(PALETTE) - 1)
    if rounds == 0:
        return PALETTE[place]
    share = 1 - 0.55 ** ((rounds + 1) // 2)
    color = np.array(to_rgb(PALETTE[place]))
    red, green, blue = color + share * (rounds % 2 - color)
    return to_hex((red, green, blue))


def text_width(figure: Figure, texts: Sequence[str], size: float) -> float:
    """Width of the widest of some texts, in inches."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family=STYLE["font.family"], size=size)
    widths = [renderer.get_text_width_height_descent(text, font, False)[0] for text in texts]
    return float(max(widths, default=0.0)) / figure.dpi


def columns_of(figure: Figure, labels: Sequence[str], most: int = 6) -> int:
    """How many columns of a legend with these labels a figure is wide enough for."""
    size, marks = STYLE["legend.fontsize"], 0.33
    widths = [text_width(figure, [label], size) + marks for label in labels] or [marks]
    if len(widths) <= most and sum(widths) < figure.get_figwidth():
        return len(widths)
    return int(np.clip(figure.get_figwidth() // max(widths), 1, most))


def legend_below(figure: Figure, *groups: Sequence[Any], bottom: float = 0.0) -> None:
    """Legends under the axes, each in as many columns as there is room for.

    Args:
        figure: laid out by constraints.
        groups: entries of each legend, from the top; without any, the axes' own.
        bottom: inches to leave free below.
    """
    if not groups:
        named: dict[str, Any] = {}
        for axis in figure.axes:
            for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
                named.setdefault(name, handle)
        groups = (list(named.values()),)
    height, taken = figure.get_figheight(), bottom
    for handles in [list(group) for group in reversed(groups) if len(group)]:
        columns = columns_of(figure, [str(handle.get_label()) for handle in handles])
        figure.legend(
            handles=handles, ncols=columns, loc="lower center", borderaxespad=0.0, borderpad=0.2,
            bbox_to_anchor=(0.5, taken / height),
        )  # fmt: skip
        taken += LEGEND_LINE * -(-len(handles) // columns) + 0.04
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(rect=(0, taken / height, 1, 1 - taken / height))


def marker(shape: str, label: str, **options: Any) -> Line2D:
    """An entry of a legend: a single marker."""
    return Line2D([], [], marker=shape, ls="", ms=options.pop("ms", 4.5), label=label, **options)


def interval_line(axis: Axes, low: Any, high: Any, place: float, **options: Any) -> None:
    """A horizontal interval, where there is one."""
    if low is not None and np.isfinite(low) and np.isfinite(high):
        axis.hlines(place, low, high, **{"lw": 1.0, "zorder": 2, **options})
