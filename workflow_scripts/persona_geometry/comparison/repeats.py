"""Correlations between two studies, and differences of correlations, with paired intervals.

What both studies share is left out of both at once: a persona always, a prompt where both have its
text. A prompt that one study alone has is left out of that one; the variances of the three groups
of prompts, and that over personas, add up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from persona_geometry.comparison.matching import Strata
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.bootstrap import weighted_spearman
from persona_geometry.rsa.intervals import (
    Spread,
    combined,
    fisher_interval,
    no_interval,
    t_interval,
)
from persona_geometry.rsa.jackknife import Jackknife, jackknife, spreads
from persona_geometry.rsa.permutation import ROUNDING, Permutations, mantel, share
from persona_geometry.rsa.reasons import CONSTANT

METHOD = "paired jackknife"
KINDS = ("personas", "prompts", "dual")
FEWEST_PERSONAS = 4
"""With three personas, no permutation test can reach 0.05."""


@dataclass(frozen=True)
class LeftOut:
    """A statistic of two studies, and what it is without each persona and each prompt.

    Attributes:
        value: with everything; NaN where it is not defined.
        personas: (N,) without each shared persona.
        prompts: for each group of prompts, without each of them.
        reason: why no prompt is left out; None where they are.
    """

    value: float
    personas: np.ndarray
    prompts: tuple[np.ndarray, ...] = ()
    reason: str | None = None

    def spreads(self, of: Callable[[np.ndarray], np.ndarray] = np.asarray) -> dict[str, Any]:
        """Spread over personas, prompts and both (`dual`) of a function of the statistic.

        A reason in words stands in the place of one that cannot be computed.
        """
        personas = spreads({"personas": of(self.personas)})["personas"]
        prompts: Spread | str = self.reason or "No prompts were measured."
        if self.prompts and not self.reason:
            groups = [spreads({"prompts": of(values)})["prompts"] for values in self.prompts]
            prompts = reduce(combined, groups)
        return {"personas": personas, "prompts": prompts, "dual": combined(prompts, personas)}


def correlation_intervals(found: LeftOut) -> dict[str, dict[str, Any]]:
    """95 % intervals of a correlation, on Fisher's z, over personas, prompts and both."""
    if not np.isfinite(found.value):
        return _none(CONSTANT)
    if abs(found.value) >= 1 - 1e-12:
        return _none("ρ is exactly 1 or -1, where Fisher's z is infinite.")
    with np.errstate(divide="ignore"):
        of = found.spreads(np.arctanh)
    return {
        kind: fisher_interval(found.value, spread) | {"method": METHOD}
        for kind, spread in of.items()
    }


def difference_intervals(found: LeftOut) -> dict[str, dict[str, Any]]:
    """95 % intervals of a difference of correlations, Student's t, cut to [-2, 2], over personas,
    prompts and both."""
    if not np.isfinite(found.value):
        return _none(CONSTANT)
    return {
        kind: t_interval(found.value, spread, 2.0) | {"method": METHOD}
        for kind, spread in found.spreads().items()
    }


def _none(reason: str) -> dict[str, dict[str, Any]]:
    return {kind: no_interval(reason) | {"method": METHOD} for kind in KINDS}


def second_order(
    x: Rdm,
    y: Rdm,
    x_without: np.ndarray | None = None,
    y_without: np.ndarray | None = None,
    strata: Strata | str = "Prompts are not left out.",
) -> LeftOut:
    """Spearman's correlation of two RDMs of the same personas, one of each study.

    Args:
        x, y: RDMs of N personas in the same order, whatever they are called.
        x_without, y_without: (Q, pairs) distances of each study without each of its prompts.
        strata: prompts of both and of either study; or why none is left out.
    """
    of_personas = jackknife(x, y)
    if isinstance(strata, str) or x_without is None or y_without is None:
        reason = strata if isinstance(strata, str) else "Vectors of single prompts are not kept."
        return LeftOut(of_personas.rho, of_personas.without["personas"], reason=reason)
    groups = []
    for stratum in strata:
        rows = [
            np.stack([whole if k is None else without[k] for k in places])
            for whole, without, places in (
                (x.vector, x_without, [pair[0] for pair in stratum]),
                (y.vector, y_without, [pair[1] for pair in stratum]),
            )
        ]
        groups.append(weighted_spearman(rows[0], rows[1], np.ones_like(rows[0])))
    return LeftOut(of_personas.rho, of_personas.without["personas"], tuple(groups))


def difference(one: Jackknife, other: Jackknife, strata: Strata | str) -> LeftOut:
    """ρ of one study less that of another, the same personas and prompts left out of both.

    Args:
        one, other: of the same personas in the same order.
        strata: prompts of both and of either study; or why none is left out.
    """
    personas = one.without["personas"] - other.without["personas"]
    value = one.rho - other.rho
    if isinstance(strata, str):
        return LeftOut(value, personas, reason=strata)
    groups = tuple(
        np.array([_without(one, first) - _without(other, second) for first, second in stratum])
        for stratum in strata
    )
    return LeftOut(value, personas, groups)


def _without(layer: Jackknife, prompt: int | None) -> float:
    return layer.rho if prompt is None else float(layer.without["prompts"][prompt])


def between_layers(
    one: Sequence[Rdm], other: Sequence[Rdm], permutations: Permutations
) -> dict[str, np.ndarray]:
    """Every RDM of one study against every RDM of another.

    Args:
        one, other: K and M RDMs of the same personas in the same order.
        permutations: of the personas, the same for every pair of RDMs.

    Returns:
        What `relabeled_between` gives, and (K, M) `low` and `high`, the ends of the 95 % interval
        over personas; NaN where there is none.
    """
    found = relabeled_between(one, other, permutations)
    without = without_each_persona(one, other)
    ends = np.full((2, *found["spearman"].shape), np.nan)
    for at in np.ndindex(*found["spearman"].shape):
        left_out = LeftOut(float(found["spearman"][at]), without[:, *at])
        interval = correlation_intervals(left_out)["personas"]
        ends[:, *at] = [_number(interval[end]) for end in ("low", "high")]
    return found | {"low": ends[0], "high": ends[1]}


def without_each_persona(one: Sequence[Rdm], other: Sequence[Rdm]) -> np.ndarray:
    """(N, K, M) Spearman's correlations without each of N personas, as `jackknife` gives them.

    An RDM is ranked once for each persona, whatever number of RDMs it is compared with.
    """
    first, second = np.triu_indices(len(one[0]), 1)
    stacks = [np.stack([rdm.vector for rdm in study]) for study in (one, other)]
    found = []
    for persona in range(len(one[0])):
        kept = (first != persona) & (second != persona)
        ranks = [doubled_ranks(stack[:, kept]) for stack in stacks]
        x, y = (of - of.mean(axis=1, keepdims=True) for of in ranks)
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(x @ y.T / np.sqrt(np.outer((x**2).sum(axis=1), (y**2).sum(axis=1))))
    return np.stack(found)


def relabeled_between(
    one: Sequence[Rdm], other: Sequence[Rdm], permutations: Permutations
) -> dict[str, np.ndarray]:
    """(K, M) `spearman`, `p` (one-sided) and `family_wise_p` (over all pairs of RDMs).

    NaN where one is not defined. The arguments are those of `between_layers`.
    """
    largest: np.ndarray | float = -np.inf
    observed, p = [], []
    for rdm in other:
        null = mantel(one, rdm, permutations)
        observed.append(null.observed)
        p.append(null.p_values())
        # NaN, of an RDM that does not vary, is never the largest.
        largest = np.maximum(largest, np.nan_to_num(null.permuted, nan=-np.inf).max(axis=1))
    rho, largest = np.array(observed).T, np.asarray(largest)
    reached = (largest[:, None, None] >= rho - ROUNDING).sum(axis=0)
    family_wise = share(reached, len(largest), rho, permutations)
    return {"spearman": rho, "p": np.array(p).T, "family_wise_p": family_wise}


def _number(value: float | None) -> float:
    return np.nan if value is None else value
