"""Does the asymmetric part of KL go with the asymmetric part of directed outcomes?

A distance has no direction, so neither geometry says why a habit goes from one persona to another
more easily than back. KL does: KL(i‖j) - KL(j‖i) is compared with what the outcome of i on j has
over that of j on i. Each pair is taken in both directions, so which of its personas is named first
does not matter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.intervals import Spread, fisher_interval, no_interval
from persona_geometry.rsa.jackknife import FEWEST, METHOD, TOO_FEW
from persona_geometry.rsa.outcome_table import Outcome
from persona_geometry.rsa.permutation import ROUNDING, Permutations
from persona_geometry.rsa.ranks import correlation

TOO_FEW_PAIRS = "Fewer than three pairs have an outcome in both directions."


def kl_asymmetry(
    names: Sequence[str], kl: np.ndarray, outcomes: Sequence[Outcome], permutations: Permutations
) -> dict[str, Any]:
    """Spearman's correlation of the asymmetric parts, over pairs with outcomes both ways.

    Args:
        names: of the N personas.
        kl: (N, N), kl[i, j] is KL(i‖j) in nats.
        outcomes: (source, target, value) of ordered pairs of these personas.
        permutations: of N labels, under which the personas of KL are relabeled.

    Returns:
        `spearman`, in [-1, 1]; `p_two_sided`, as neither sign is expected; `n_pairs` and
        `n_personas` with an outcome both ways; `share`: of the squares of KL, in [0, 1], that of
        its asymmetric part; the 95 % interval over personas (jackknife on Fisher's z), with
        `reason` where there is none.
    """
    place = {name: k for k, name in enumerate(names)}
    value_of = {(place[source], place[target]): value for source, target, value in outcomes}
    pairs = [(i, j) for i, j in value_of if i < j and (j, i) in value_of]
    off_diagonal = kl[~np.eye(len(kl), dtype=bool)]
    asymmetric = (kl - kl.T) / 2
    squares = float(off_diagonal @ off_diagonal)
    result: dict[str, Any] = {
        "spearman": None,
        "p_two_sided": None,
        "n_pairs": len(pairs),
        "n_personas": len({persona for pair in pairs for persona in pair}),
        "share": float((asymmetric**2).sum()) / squares if squares > 0 else None,
    }
    if len(pairs) < 3:
        return result | no_interval(TOO_FEW_PAIRS) | {"method": METHOD}
    first, second = np.array(pairs).T
    difference = np.array([value_of[i, j] - value_of[j, i] for i, j in pairs])
    rho = _correlation(asymmetric[first, second], difference)
    result["spearman"] = rho
    if rho is None:
        reason = "The outcomes, or KL, have no asymmetric part that varies."
        return result | no_interval(reason) | {"method": METHOD}
    result["p_two_sided"] = _p_two_sided(asymmetric, (first, second), difference, permutations)
    return result | _interval(rho, asymmetric, (first, second), difference) | {"method": METHOD}


def _both(values: np.ndarray) -> np.ndarray:
    """Differences of pairs, each in both directions."""
    return np.concatenate([values, -values], axis=-1)


def _centered_ranks(values: np.ndarray) -> np.ndarray:
    """(..., pairs) doubled ranks among both directions less their mean; the other way negative."""
    ranks = doubled_ranks(_both(values))
    centered: np.ndarray = ranks[..., : values.shape[-1]] - (2 * values.shape[-1] + 1.0)
    return centered


def _correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    return correlation(doubled_ranks(_both(x)), doubled_ranks(_both(y)))


def _p_two_sided(
    asymmetric: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    difference: np.ndarray,
    permutations: Permutations,
) -> float:
    """Of all pairs the ranks are taken once, as relabeling only moves them about."""
    n, (first, second) = len(asymmetric), pairs
    above = np.triu_indices(n, 1)
    table = np.zeros((n, n))
    table[above] = _centered_ranks(asymmetric[above])
    table -= table.T
    whole = len(first) == len(above[0])
    y = _centered_ranks(difference)
    squares = float(y @ y)

    def statistic(labels: np.ndarray) -> np.ndarray:
        at = labels[:, first], labels[:, second]
        x = table[at] if whole else _centered_ranks(asymmetric[at])
        scale = np.sqrt((x**2).sum(axis=1) * squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(scale > 0, np.abs(x @ y) / scale, 0.0)

    observed = statistic(np.arange(n)[None])[0]
    reached = taken = 0
    for labels in permutations.chunks(max(1, 400_000 // len(first))):
        reached += int((statistic(labels) >= observed - ROUNDING).sum())
        taken += len(labels)
    return reached / taken if permutations.enumerated else (reached + 1) / (taken + 1)


def _interval(
    rho: float,
    asymmetric: np.ndarray,
    pairs: tuple[np.ndarray, np.ndarray],
    difference: np.ndarray,
) -> dict[str, Any]:
    first, second = pairs
    personas = np.unique(np.concatenate(pairs))
    if len(personas) < FEWEST["personas"]:
        return no_interval(TOO_FEW["personas"])
    if abs(rho) >= 1:
        return no_interval("ρ is exactly 1 or -1, where Fisher's z is infinite.")
    x = asymmetric[first, second]
    without = []
    for persona in personas:
        keep = (first != persona) & (second != persona)
        without.append(_correlation(x[keep], difference[keep]))
    values = [one for one in without if one is not None and abs(one) < 1]
    if len(values) < len(personas):
        return no_interval("Without one of the personas an asymmetric part does not vary.")
    m = len(personas)
    return fisher_interval(rho, Spread((m - 1) * float(np.var(np.arctanh(values))), m - 1))
