"""What the figures of a study are drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.style import COLUMN, cluster_colors
from persona_geometry.report.text import count, interval, number, p_value
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.intervals import widest


@dataclass(frozen=True)
class Shown:
    """A study's result.

    Attributes:
        alignment: the content of alignment.json.
        geometries: both geometries, the anchor among the personas where it was measured.
        measure: name and unit of the divergence.
        width: of the figures, in inches.
    """

    alignment: Mapping[str, Any]
    geometries: Geometries
    measure: str
    width: float = COLUMN

    @property
    def headline(self) -> int:
        return int(self.alignment["headline_layer"])

    @property
    def layers(self) -> dict[int, dict[str, Any]]:
        """The statistics of every configured layer."""
        return {int(layer): found for layer, found in self.alignment["layers"].items()}

    @property
    def narrow(self) -> bool:
        """Whether panels go below one another."""
        return self.width < 5

    @cached_property
    def compared(self) -> Geometries:
        """The geometries of the personas that the statistics are of."""
        return self.geometries.select(self.alignment["personas"])

    @property
    def clusters(self) -> dict[str, str]:
        """Fine cluster of every compared persona that has one."""
        return self.compared.clusters

    @cached_property
    def colors(self) -> dict[str, str]:
        """The color of every cluster of the study, the same in all its figures."""
        return cluster_colors(self.geometries.clusters)

    @property
    def divergence(self) -> Rdm:
        return self.compared.divergence["full"]

    @property
    def name(self) -> str:
        """The divergence without its unit."""
        return self.measure.split(" (")[0]

    @property
    def whom(self) -> str:
        """The study and its size, for a caption."""
        size = [count(self.alignment[f"n_{noun}s"], noun) for noun in ("persona", "pair")]
        return f"Study {self.alignment['study']}, {', '.join(size)}"

    def agreement(self, layer: int) -> str:
        """ρ of a layer with its interval and p, for a caption."""
        of = self.layers[layer]
        if of["spearman"] is None:
            return f"layer {layer}: no ρ, since a geometry does not vary"
        ends = widest(of["intervals"])
        spread = f"95 % interval {interval(ends)}, " if ends["low"] is not None else ""
        return (
            f"layer {layer}: ρ = {number(of['spearman'])} ({spread}Mantel p = "
            f"{p_value(of['mantel_p'])})"
        )
