"""The two geometries of a study, read from its files and cut to the personas they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from persona_geometry.rdms.files import (
    LazyLayers,
    read_cosine_rdms,
    read_directed_divergences,
    read_divergence_rdms,
    read_layer_vectors,
    read_rdm_table,
    read_stacks,
)
from persona_geometry.rdms.lexical import lexical_rdm
from persona_geometry.rdms.rdm import Rdm, RdmStack, places
from persona_geometry.rsa.outcome_table import Outcome, read_outcomes


@dataclass(frozen=True)
class Geometries:
    """The two geometries of a study's N personas.

    Attributes:
        anchor: the anchor's name, or None.
        clusters, macro: fine and macro cluster of every persona that has one.
        cosine: layer to cosine distances, for every known layer.
        divergence: cutoff ("8", "32", "full") to divergences in nats.
        by_prompt: cutoff to the divergences of each prompt, or None where they are from a file.
        vectors: configured layer to (Q, N, d) vectors whose means over prompts are the centroids,
            had anew whenever they are asked for; None where the cosines come from a file.
        covariates: name to distances for the partial Mantel test.
        outcomes: directed outcomes, or None.
        others: name of another geometry to layer to its cosine distances, for every known layer.
        lexical: distances of the system prompts' words, or None.
        kl: (N, N) KL(row‖column) in nats, or None where it is not asked for or measured.

    All RDMs are of the same personas in the same order, the anchor among them where it was
    measured.
    """

    anchor: str | None
    clusters: dict[str, str]
    cosine: dict[int, Rdm]
    divergence: dict[str, Rdm]
    by_prompt: dict[str, RdmStack] | None = None
    vectors: Mapping[int, np.ndarray] | None = None
    covariates: dict[str, Rdm] = field(default_factory=dict)
    outcomes: list[Outcome] | None = None
    others: dict[str, dict[int, Rdm]] = field(default_factory=dict)
    lexical: Rdm | None = None
    kl: np.ndarray | None = None
    macro: dict[str, str] = field(default_factory=dict)

    @property
    def personas(self) -> tuple[str, ...]:
        return self.divergence["full"].names

    @property
    def prompts(self) -> tuple[str, ...] | None:
        return self.by_prompt["full"].labels if self.by_prompt else None

    def select(self, names: Sequence[str]) -> "Geometries":
        """The same for some of the personas, in the given order."""
        order = places(self.personas, names, "The geometries")
        return Geometries(
            anchor=self.anchor,
            clusters={name: c for name, c in self.clusters.items() if name in names},
            cosine={layer: rdm.select(names) for layer, rdm in self.cosine.items()},
            divergence={cutoff: rdm.select(names) for cutoff, rdm in self.divergence.items()},
            by_prompt=self.by_prompt and {c: s.select(names) for c, s in self.by_prompt.items()},
            vectors=self.vectors and _taken_from(self.vectors, order),
            covariates={name: rdm.select(names) for name, rdm in self.covariates.items()},
            outcomes=self.outcomes,
            others={
                name: {layer: rdm.select(names) for layer, rdm in rdms.items()}
                for name, rdms in self.others.items()
            },
            lexical=self.lexical and self.lexical.select(names),
            kl=None if self.kl is None else self.kl[np.ix_(order, order)],
            macro={name: c for name, c in self.macro.items() if name in names},
        )

    def without_anchor(self) -> "Geometries":
        """What the primary statistics are computed on."""
        return self.select([name for name in self.personas if name != self.anchor])


def read_geometries(
    cosine: str | Path,
    divergence: str | Path,
    *,
    by_prompt: str | Path | None = None,
    vectors: str | Path | None = None,
    covariates: Sequence[str] = (),
    outcomes: str | None = None,
    kl: str | Path | None = None,
    also: Sequence[str | Path] = (),
    system_prompts: dict[str, str] | None = None,
    anchor: str | None = None,
    clusters: dict[str, str] | None = None,
    macro: dict[str, str] | None = None,
) -> tuple[Geometries, str]:
    """Read a study's geometries, matched by name, and the divergences' estimator.

    An RDM from a file may lack the anchor; then so does everything else.

    Args:
        cosine, divergence: cosine_matrix.json and js_matrix.json.
        by_prompt, vectors: js_by_prompt.npz and vectors.npz, where they were measured.
        covariates: labeled tables of distances, named by their files' stems.
        outcomes: table of directed outcomes.
        kl: kl_matrix.json, where it is wanted.
        also: cosine RDMs of other geometries, named by their files' stems.
        system_prompts: of the personas, whose words are compared.
        anchor, clusters, macro: of the study.

    Raises:
        InputError: a file that is not what it should be, or a covariate without a persona.
    """
    of_layer, divergences = read_cosine_rdms(cosine), read_divergence_rdms(divergence)
    names = [
        name
        for name in divergences.rdms["full"].names
        if all(name in rdm.names for rdm in of_layer.values())
    ]
    stacks = read_stacks(by_prompt) if by_prompt else None
    single = read_layer_vectors(vectors) if vectors else None
    order = places(single.personas, names, vectors) if single else []
    geometries = Geometries(
        anchor=anchor,
        clusters=clusters or {},
        cosine={layer: rdm.select(names, cosine) for layer, rdm in of_layer.items()},
        divergence={c: rdm.select(names, divergence) for c, rdm in divergences.rdms.items()},
        by_prompt=stacks and {c: stack.select(names, by_prompt) for c, stack in stacks.items()},
        vectors=_taken_from(single.layers, order) if single else None,
        covariates={
            Path(path).stem: read_rdm_table(path).select(names, path) for path in covariates
        },
        outcomes=read_outcomes(outcomes) if outcomes else None,
        others={
            Path(path).stem: {
                layer: rdm.select(names, path) for layer, rdm in read_cosine_rdms(path).items()
            }
            for path in also
        },
        lexical=lexical_rdm({n: system_prompts[n] for n in names}) if system_prompts else None,
        kl=_read_kl(kl, names) if kl else None,
        macro=macro or {},
    )
    return geometries, divergences.estimator


def _read_kl(path: str | Path, names: Sequence[str]) -> np.ndarray:
    held, matrix = read_directed_divergences(path)
    order = places(held, names, path)
    return matrix[np.ix_(order, order)]


def _taken_from(layers: Mapping[int, np.ndarray], order: Sequence[int]) -> LazyLayers:
    """The vectors of some personas, at every layer."""
    return LazyLayers(layers, lambda layer: _taken(layers[layer], order))


def _taken(vectors: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """The (Q, N, d) vectors of some personas; of neighbors without a copy of what may be large."""
    start, stop = order[0], order[-1] + 1
    if list(order) == list(range(start, stop)):
        return vectors[:, start:stop]
    return vectors[:, order]
