"""Two finished studies, cut to the personas that they share."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from persona_geometry.comparison import decoupled
from persona_geometry.comparison.config import Comparison
from persona_geometry.comparison.matching import (
    Strata,
    counterpart,
    depth,
    kind,
    other_texts,
    prompt_strata,
    shared_personas,
)
from persona_geometry.comparison.repeats import (
    FEWEST_PERSONAS,
    between_layers,
    correlation_intervals,
    difference,
    difference_intervals,
    second_order,
)
from persona_geometry.comparison.studies import Measured
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.geometries import Geometries
from persona_geometry.rsa.jackknife import Jackknife, jackknife
from persona_geometry.rsa.permutation import Permutations, mantel
from persona_geometry.rsa.prompt_centroids import left_out_cosine_distances
from persona_geometry.rsa.reasons import TOO_FEW_PROMPTS

TABLE_ONLY = "{} is a published table without RDMs."


class Pair:
    """Two studies and what they share.

    Attributes:
        one, other: the studies.
        shared: names of the personas in both, in the first and in the second study.
        reason: why they cannot be compared; None where they can.
    """

    def __init__(self, one: Measured, other: Measured, settings: Comparison) -> None:
        self.one, self.other, self._settings = one, other, settings
        self.shared = shared_personas(one, other, settings.match)
        self.reason: str | None = None
        if len(self.shared) < FEWEST_PERSONAS:
            names = ", ".join(name for name, _ in self.shared) or "none"
            by = "name" if settings.match == "name" else "system prompt"
            self.reason = (
                f"By {by} they share {len(self.shared)} of their {len(one.personas)} and "
                f"{len(other.personas)} personas ({names}), and at least {FEWEST_PERSONAS} are "
                f"needed."
            )

    @cached_property
    def cuts(self) -> tuple[Geometries, Geometries]:
        """Both studies' geometries of the shared personas, in one order."""
        names = zip(*self.shared, strict=True)
        first, second = (
            study.geometries.select(chosen)
            for study, chosen in zip((self.one, self.other), names, strict=True)
        )
        return first, second

    @cached_property
    def permutations(self) -> Permutations:
        settings = self._settings
        return Permutations.free(len(self.shared), settings.permutations, settings.seed)

    @cached_property
    def strata(self) -> Strata | str:
        """Which prompts are left out of which study; or why none is."""
        for study in (self.one, self.other):
            if study.prompts is None:
                return f"The divergences of {study.name} come from a file, without their prompts."
            if len(study.prompts) < 2:
                return TOO_FEW_PROMPTS
        assert self.one.prompts is not None and self.other.prompts is not None
        return prompt_strata(self.one.prompts, self.other.prompts)

    @cached_property
    def cosine(self) -> dict[str, np.ndarray]:
        """Every known layer of one against every one of the other (`repeats.between_layers`)."""
        rows = [
            [cut.cosine[layer] for layer in study.known_layers]
            for cut, study in zip(self.cuts, (self.one, self.other), strict=True)
        ]
        return between_layers(rows[0], rows[1], self.permutations)

    def describe(self) -> dict[str, Any]:
        """Everything that is compared between the two; the form of a row of `pairs`."""
        found: dict[str, Any] = {
            "studies": [self.one.name, self.other.name],
            "kind": kind(self.one, self.other),
            "same_measurements": self.one.same_as == self.other.same_as,
            "n_personas": len(self.shared),
            "personas": [list(names) for names in self.shared],
            "other_texts": other_texts(self.one, self.other, self.shared),
            "reason": self.reason,
        }
        if self.reason:
            return found | {"divergence": None, "cosine": None, "layers": []}
        layers = self.one.known_layers, self.other.known_layers
        return found | {
            "divergence": self._divergence(),
            "cosine": {"layers": layers, **{k: v.tolist() for k, v in self.cosine.items()}},
            "layers": [self._at(layer) for layer in self.one.layers],
        }

    def _divergence(self) -> dict[str, Any]:
        x, y = (cut.divergence["full"] for cut in self.cuts)
        without = [_divergences_without(cut) for cut in self.cuts]
        return self._correlated(second_order(x, y, without[0], without[1], self.strata), x, y)

    def _correlated(self, found: Any, x: Rdm, y: Rdm) -> dict[str, Any]:
        p = mantel([x], y, self.permutations).p_values()[0]
        return {"spearman": found.value, "p": p, **correlation_intervals(found)}

    def _at(self, layer: int) -> dict[str, Any]:
        """A configured layer of the first study and its counterpart in the second."""
        other, reason = counterpart(layer, self.one, self.other)
        found = {
            "layers": [layer, other],
            "depths": [depth(layer, self.one.n_layers), depth(other, self.other.n_layers)],
            "reason": reason,
        }
        if other is None:
            return found | dict.fromkeys(("spearman", "difference", "cosine", "decoupling"))
        at = layer, other
        x, y = (cut.cosine[k] for cut, k in zip(self.cuts, at, strict=True))
        strata = self._strata_with_vectors(at)
        without = [
            None if isinstance(strata, str) else _cosines_without(cut, k)
            for cut, k in zip(self.cuts, at, strict=True)
        ]
        jackknives = [of_layer(cut, k) for cut, k in zip(self.cuts, at, strict=True)]
        change = difference(jackknives[0], jackknives[1], strata)
        both = [(rdm, cut.divergence["full"]) for rdm, cut in zip((x, y), self.cuts, strict=True)]
        return found | {
            "spearman": [of.rho for of in jackknives],
            "difference": {"value": change.value, **difference_intervals(change)},
            "cosine": self._correlated(second_order(x, y, without[0], without[1], strata), x, y),
            "decoupling": decoupled.agreement(
                both[0], both[1], self._settings.top_k, self.permutations
            ),
        }

    def _strata_with_vectors(self, layers: Sequence[int]) -> Strata | str:
        for study, cut, layer in zip((self.one, self.other), self.cuts, layers, strict=True):
            if layer not in (cut.vectors or {}):
                return (
                    f"Vectors of single prompts at layer {layer} are not kept by {study.name}; "
                    f"name the layer in its geometry.layers."
                )
        return self.strata


def of_layer(study: Geometries, layer: int) -> Jackknife:
    """ρ of a study at a layer, and without each persona; without each prompt where both geometries
    can be had without it."""
    vectors = (study.vectors or {}).get(layer)
    return jackknife(
        study.cosine[layer],
        study.divergence["full"],
        study.by_prompt["full"] if study.by_prompt and vectors is not None else None,
        vectors,
    )


def _divergences_without(study: Geometries) -> np.ndarray | None:
    stack = study.by_prompt and study.by_prompt["full"]
    return stack.means_without_each() if stack and len(stack) > 1 else None


def _cosines_without(study: Geometries, layer: int) -> np.ndarray:
    assert study.vectors is not None, "asked for where they are kept"
    return left_out_cosine_distances(study.vectors[layer])
