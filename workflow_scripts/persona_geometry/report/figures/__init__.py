"""Figures: pure functions from results to a drawing, a table of what it shows and its caption.

This file imports nothing heavy: the rules read it.
"""

from collections.abc import Sequence

ENDINGS = ("png", "pdf", "svg", "tsv", "rst")
"""What is written of every figure: three forms, the drawn data and the caption."""

WIDTHS = {"column": 3.5, "page": 7.2}
"""Widths of figures in inches, by `figures.width`."""

SCATTER = "scatter_layer_{}"
CONFIGURED, KNOWN = "configured", "all"


def study_figures(layers: Sequence[int], headline: int) -> dict[str, dict[str, str]]:
    """Name of every figure of a study to its labels: what it shows, and of which layers."""
    shown = {
        "heatmaps": ("both RDMs by rank, and their differences", headline),
        "heatmaps_alphabetical": ("the same in alphabetical order (supplement)", headline),
        "trees": ("both geometries as trees", headline),
        "layers": ("ρ past every control", CONFIGURED),
        "layer_curve": ("ρ by layer", KNOWN),
        "jackknife": ("ρ without each persona", headline),
        "cutoffs": ("ρ by tokens of each response", CONFIGURED),
        "per_prompt": ("ρ of each prompt", CONFIGURED),
        "tokens": ("divergence by place in the response", "none"),
        **{SCATTER.format(layer): ("every pair of personas", layer) for layer in layers},
    }
    return {name: {"shows": what, "layer": str(of)} for name, (what, of) in shown.items()}


COMPARISON_FIGURES = {
    "depth": {"shows": "ρ by relative depth"},
    "second_order": {"shows": "hidden states against hidden states"},
    "differences": {"shows": "differences of ρ"},
    "replication": {"shows": "criteria of the replication"},
}
"""The same of a comparison."""
