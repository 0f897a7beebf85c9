"""The agreement past every control at a layer, with intervals over personas.

The values are those of alignment.json; the intervals leave out each persona in turn, as those of ρ
do (`jackknife`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from persona_geometry.rsa import residual, sensitivity
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import fisher_interval
from persona_geometry.rsa.jackknife import spreads
from persona_geometry.rsa.layer import partial, whole_clusters
from persona_geometry.rsa.ranks import rsa

CONTROLS = {
    "spearman": "Raw",
    "partial_fine": "Partial, fine clusters",
    "partial_joint": "Partial, fine and macro clusters",
    "cluster_masked": "Clusters masked",
    "cluster_collapsed": "Clusters collapsed",
    "residual_mean_marginal": "Residual, mean marginals",
    "residual_anchor": "Residual, anchor",
}
"""The correlations of a layer, and what they are called."""


@dataclass(frozen=True)
class Controlled:
    """A correlation and its 95 % interval over personas; None where there is none."""

    value: float | None
    low: float | None
    high: float | None


def controls(geometries: Geometries, layer: int) -> dict[str, Controlled]:
    """Every one of `CONTROLS` at a layer.

    Args:
        geometries: of the compared personas, and of the anchor where it was measured.
        layer: a known layer.
    """
    alone = Geometries(
        geometries.anchor,
        geometries.clusters,
        {layer: geometries.cosine[layer]},
        {"full": geometries.divergence["full"]},
        macro=geometries.macro,
    )
    personas = [name for name in alone.personas if name != alone.anchor]
    values = _values(alone, layer)
    without = [
        _values(alone.select([other for other in alone.personas if other != name]), layer)
        for name in personas
    ]
    return {name: _controlled(values[name], [left[name] for left in without]) for name in CONTROLS}


def _values(whole: Geometries, layer: int) -> dict[str, float | None]:
    primary = whole.without_anchor()
    x, y = primary.cosine[layer], primary.divergence["full"]
    found: dict[str, Any] = dict.fromkeys(CONTROLS)
    if len(primary.personas) < 3:
        return found
    found["spearman"] = rsa(x, y)
    if primary.clusters:
        fine = whole_clusters(primary)
        found["partial_fine"] = partial(primary, layer, ["fine"])
        found["partial_joint"] = partial(primary, layer, ["fine", "macro"])
        found["cluster_masked"] = sensitivity.cluster_masked(x, y, fine)[0]
        found["cluster_collapsed"] = sensitivity.cluster_collapsed(x, y, fine)[0]
    found["residual_mean_marginal"] = residual.radial_residuals(x, y).spearman
    if whole.anchor in whole.personas:
        sums = [
            residual.anchor_sums(rdm, str(whole.anchor))
            for rdm in (whole.cosine[layer], whole.divergence["full"])
        ]
        found["residual_anchor"] = residual.Residuals(x, sums[0], y, sums[1]).spearman
    return found


def _controlled(value: float | None, without: list[float | None]) -> Controlled:
    if value is None or abs(value) >= 1:
        return Controlled(value, None, None)
    array = np.array(without, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = spreads({"personas": np.arctanh(array)})["personas"]
    found = fisher_interval(value, spread)
    return Controlled(value, found["low"], found["high"])
