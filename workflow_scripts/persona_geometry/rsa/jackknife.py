"""Confidence intervals from leaving out each prompt, persona or cluster of personas in turn.

Whatever is left out is what is taken for a sample: the spread of the correlations that remain is
the jackknife's estimate of the variance (Efron & Stein 1981, Annals of Statistics 9:586). It is
taken on Fisher's z = artanh ρ, so that intervals end inside (-1, 1). For prompts and personas
together the two variances add up, with the degrees of freedom of Welch and Satterthwaite: few
prompts widen the interval as far as prompts matter, and no further.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rsa.bootstrap import (
    resampled_correlations,
    weighted_spearman,
)
from persona_geometry.rsa.intervals import Spread, combined, fisher_interval
from persona_geometry.rsa.prompt_centroids import left_out_cosine_distances
from persona_geometry.rsa.reasons import CONSTANT, TOO_FEW_PROMPTS

METHOD = "jackknife on Fisher's z"
KINDS = ("prompts", "personas", "dual", "clusters")
FEWEST = {"prompts": 2, "personas": 6, "clusters": 5}
"""How many of each must be there: with fewer, single correlations decide on the spread."""
TOO_FEW = {
    "prompts": TOO_FEW_PROMPTS,
    "personas": f"Fewer than {FEWEST['personas']} personas are too few to leave any out.",
    "clusters": f"There are no clusters, or fewer than {FEWEST['clusters']}, each persona without "
    f"one counted as one.",
}


@dataclass(frozen=True)
class Jackknife:
    """Correlations of one layer.

    Attributes:
        rho: with everything; NaN where a geometry does not vary.
        without: "prompts", "personas" and "clusters" to the correlations without each of them,
            in order; a kind of which there are fewer than two is missing. NaN where what is left
            does not vary.
    """

    rho: float
    without: Mapping[str, np.ndarray]


def jackknife(
    cosine: Rdm,
    divergence: Rdm,
    by_prompt: RdmStack | None = None,
    vectors: np.ndarray | None = None,
    clusters: Sequence[str] = (),
) -> Jackknife:
    """Leave out each prompt, each persona and each cluster of personas in turn.

    Args:
        cosine, divergence: RDMs of the same N personas.
        by_prompt: divergences of each prompt, whose mean is `divergence`; without them no prompt
            is left out.
        vectors: (Q, N, d) vectors whose means are the centroids; without them the cosine
            distances stay when a prompt is left out.
        clusters: of each persona, one without a cluster being a cluster of its own; empty for
            none.
    """
    x, y = cosine.vector[None], divergence.vector[None]
    without = {"personas": _without_groups(x, y, cosine.names)}
    if clusters and len(set(clusters)) > 1:
        without["clusters"] = _without_groups(x, y, clusters)
    if by_prompt is not None and len(by_prompt) > 1:
        rest = by_prompt.means_without_each()
        distances = x if vectors is None else left_out_cosine_distances(vectors)
        without["prompts"] = weighted_spearman(distances, rest, np.ones_like(rest))
    return Jackknife(float(weighted_spearman(x, y, np.ones_like(x))[0]), without)


def intervals(layer: Jackknife) -> dict[str, dict[str, Any]]:
    """95 % intervals of ρ over prompts, personas, both (`dual`) and clusters.

    Returns:
        For each `low` and `high`, inside (-1, 1), `level`, `se` (of Fisher's z), `df`, `method`
        and `reason`. Where one cannot be computed its ends are None and `reason` says why.
    """
    found: dict[str, Spread | str]
    if not np.isfinite(layer.rho):
        found = dict.fromkeys(KINDS, CONSTANT)
    elif abs(layer.rho) >= 1:
        found = dict.fromkeys(KINDS, "ρ is exactly 1 or -1, where Fisher's z is infinite.")
    else:
        with np.errstate(divide="ignore"):
            found = spreads({kind: np.arctanh(rho) for kind, rho in layer.without.items()})
    return {
        kind: fisher_interval(layer.rho, spread) | {"method": METHOD}
        for kind, spread in found.items()
    }


def spreads(without: Mapping[str, np.ndarray]) -> dict[str, Spread | str]:
    """Variance of a statistic over prompts, personas, both and clusters, or why there is none.

    Args:
        without: the statistic without each unit of a kind, as in `Jackknife.without`.
    """
    found: dict[str, Spread | str] = {kind: _spread(kind, without) for kind in FEWEST}
    found["dual"] = combined(found["prompts"], found["personas"])
    return {kind: found[kind] for kind in KINDS}


def _spread(kind: str, without: Mapping[str, np.ndarray]) -> Spread | str:
    values = without.get(kind, np.empty(0))
    m = len(values)
    if m < FEWEST[kind]:
        return TOO_FEW[kind]
    if not np.isfinite(values).all():
        return f"Without one of the {kind} a geometry does not vary, or ρ is exactly 1 or -1."
    return Spread((m - 1) * float(np.var(values)), m - 1)


def _without_groups(x: np.ndarray, y: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    array = np.array(labels)
    keep = array != np.array(list(dict.fromkeys(labels)))[:, None]
    return resampled_correlations(x, y, keep.astype(float))
