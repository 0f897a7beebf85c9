"""Every figure of a study."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from persona_geometry.report.figures import SCATTER
from persona_geometry.report.figures.heatmap import heatmaps
from persona_geometry.report.figures.layers import layer_curve, past_controls
from persona_geometry.report.figures.robustness import cutoff_lines, jackknife_dots, prompt_strips
from persona_geometry.report.figures.scatter import scatter
from persona_geometry.report.figures.shown import Shown
from persona_geometry.report.figures.style import Drawing
from persona_geometry.report.figures.tokens import token_profile
from persona_geometry.report.figures.trees import trees


def figures(
    shown: Shown, profiles: Mapping[str, list[np.ndarray]]
) -> dict[str, Callable[[], Drawing]]:
    """Name to what draws the figure.

    Args:
        shown: the study.
        profiles: mean divergence by token (`tokens.prompt_profiles`).
    """
    return {
        "heatmaps": partial(heatmaps, shown),
        "heatmaps_alphabetical": partial(heatmaps, shown, alphabetical=True),
        "trees": partial(trees, shown),
        "layers": partial(past_controls, shown),
        "layer_curve": partial(layer_curve, shown),
        "jackknife": partial(jackknife_dots, shown),
        "cutoffs": partial(cutoff_lines, shown),
        "per_prompt": partial(prompt_strips, shown),
        "tokens": partial(token_profile, shown, profiles),
        **{SCATTER.format(layer): partial(scatter, shown, layer) for layer in shown.layers},
    }
