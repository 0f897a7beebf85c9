"""The permutation tests of a study, which share their permutations between layers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.multiplicity import fdr_q_values, step_down_p_values
from persona_geometry.rsa.permutation import Null, Permutations, mantel
from persona_geometry.rsa.residual import Residuals, radial_residuals
from persona_geometry.study.sections import Alignment


class LayerTests:
    """Mantel tests of every layer.

    Attributes:
        layers: the configured layers, of which `stratified`, `radial` and `with_anchor` are.
        all_layers: the known ones, of which `mantel` is.
        free: permutations of all personas.
        mantel: cosine distance against divergence.
        two_sided_p: (layers,) two-sided p-values of `mantel`.
        stratified: the same under permutations within fine clusters; None where there are none.
        residuals: both RDMs of each configured layer without their mean marginals.
        radial: test of those residuals.
        with_anchor: test with the anchor among the personas; None where it was not measured.
    """

    def __init__(
        self,
        whole: Geometries,
        primary: Geometries,
        layers: Sequence[int],
        settings: Alignment,
        progress: Callable[[str], object],
    ) -> None:
        n, count, seed = len(primary.personas), settings.permutations, settings.seed
        divergence = primary.divergence["full"]
        self.layers, self.all_layers = list(layers), sorted(primary.cosine)
        self.free = Permutations.free(n, count, seed)
        strata = [primary.clusters.get(name) for name in primary.personas]
        within = Permutations.within(strata, count, seed)
        progress(f"Mantel tests of {len(self.all_layers)} layers, {count:,} permutations")
        self.mantel = mantel([primary.cosine[x] for x in self.all_layers], divergence, self.free)
        self.two_sided_p = self.mantel.two_sided_p_values()
        chosen = [primary.cosine[layer] for layer in layers]
        self.stratified = mantel(chosen, divergence, within) if within.groups else None
        self.residuals: dict[int, Residuals] = {
            layer: radial_residuals(primary.cosine[layer], divergence) for layer in layers
        }
        rests = list(self.residuals.values())
        self.radial = mantel([rest.x for rest in rests], rests[0].y, self.free)
        self.with_anchor: Null | None = None
        if whole.anchor in whole.personas:
            self.with_anchor = mantel(
                [whole.cosine[layer] for layer in layers],
                whole.divergence["full"],
                Permutations.free(n + 1, count, seed),
            )

    def curve(self) -> dict[str, dict[str, Any]]:
        """ρ of every known layer with its p-values."""
        p = self.mantel.p_values()
        columns = {
            "spearman": self.mantel.observed,
            "mantel_p": p,
            "mantel_p_two_sided": self.two_sided_p,
            "family_wise_p": self.mantel.family_wise_p_values(),
            "step_down_p": step_down_p_values(self.mantel),
            "fdr_q": fdr_q_values(p),
        }
        return {
            str(layer): {name: values[k] for name, values in columns.items()}
            for k, layer in enumerate(self.all_layers)
        }

    def across_layers(self) -> dict[str, Any]:
        """p-values over the configured layers, adjusted for there being several."""
        columns = [self.all_layers.index(layer) for layer in self.layers]
        chosen = Null(self.mantel.observed[columns], self.mantel.permuted[:, columns], self.free)
        return {
            "family_wise_p": self._by_layer(chosen.family_wise_p_values()),
            "step_down_p": self._by_layer(step_down_p_values(chosen)),
            "fdr_q": self._by_layer(fdr_q_values(chosen.p_values())),
            "stratified_family_wise_p": self.stratified
            and self._by_layer(self.stratified.family_wise_p_values()),
        }

    def _by_layer(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(map(str, self.layers), values, strict=True))
