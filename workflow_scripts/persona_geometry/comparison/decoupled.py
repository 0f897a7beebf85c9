"""Do the pairs that part from their radial structure in one study do so in another?

A pair's decoupling is z_js - z_cos (`rsa.decoupling`): positive where the pair is nearer in hidden
states than in behavior.
"""

from typing import Any

import numpy as np

from persona_geometry.comparison.repeats import LeftOut, correlation_intervals
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.decoupling import largest, z_scores
from persona_geometry.rsa.permutation import Null, Permutations, mantel, permuted_products
from persona_geometry.rsa.ranks import spearman
from persona_geometry.rsa.residual import radial_residuals

TESTED = ("spearman", "p", "overlap", "expected", "overlap_p", "same_sign")
FLAT = "A geometry does not vary beyond its radial structure."


def decoupling(cosine: Rdm, divergence: Rdm) -> np.ndarray | None:
    """(pairs,) z_js - z_cos; None where a geometry does not vary beyond its radial structure."""
    z = z_scores(radial_residuals(cosine, divergence))
    return None if z is None else z[1] - z[0]


def top(values: np.ndarray, k: int) -> np.ndarray:
    """(pairs,) 1 for the k largest in size, of equal ones the first, and 0 for the others."""
    chosen = np.zeros(len(values))
    chosen[largest(values, k)] = 1
    return chosen


def agreement(
    one: tuple[Rdm, Rdm], other: tuple[Rdm, Rdm], k: int, permutations: Permutations
) -> dict[str, Any]:
    """How far two studies have the same decoupled pairs.

    Args:
        one, other: cosine distances and divergences of the same N personas in the same order.
        k: how many of the most decoupled pairs are taken.
        permutations: of the personas.

    Returns:
        What `relabeled` gives, and `interval` of its correlation over personas (the residuals taken
        anew without each); `pairs`, the pairs of the overlap, named as in `one`, each with both
        differences; `top_k`; and a `reason` where numbers are None.
    """
    x, y = decoupling(*one), decoupling(*other)
    if x is None or y is None:
        nothing = dict.fromkeys((*TESTED, "interval"))
        return {**nothing, "pairs": [], "top_k": k, "reason": FLAT}
    found = relabeled(x, y, len(one[0]), k, permutations)
    common = np.flatnonzero(top(x, k) * top(y, k))
    pairs = list(one[0].pairs)
    of_personas = _without_each(one, other, found["spearman"])
    return {
        **found,
        "interval": correlation_intervals(of_personas)["personas"],
        "pairs": [
            {"pair": list(pairs[i]), "z_difference": [float(x[i]), float(y[i])]} for i in common
        ],
        "top_k": k,
        "reason": None if k < len(x) else "top_k is every pair, so both have the same.",
    }


def relabeled(
    x: np.ndarray, y: np.ndarray, n: int, k: int, permutations: Permutations
) -> dict[str, Any]:
    """Tests of two studies' decouplings.

    Args:
        x, y: (pairs,) z_js - z_cos of n personas in the same order.
        k: how many of the most decoupled pairs are taken.
        permutations: of the personas.

    Returns:
        `spearman` over pairs and its one-sided `p`; `overlap`, how many of the k pairs of largest
        size are in both, the `expected` overlap of unrelated studies, its `overlap_p`, and
        `same_sign`, how many of these have the same sign: None where k is every pair.
    """
    names = tuple(map(str, range(n)))
    null = mantel([Rdm(names, x)], Rdm(names, y), permutations)
    found = {"spearman": float(null.observed[0]), "p": float(null.p_values()[0])}
    if k >= len(x):
        return {**dict.fromkeys(TESTED), **found}
    tops = top(x, k), top(y, k)
    both = (tops[0] * tops[1]).astype(bool)
    permuted = permuted_products(tops[0][None], tops[1], permutations)
    overlap = Null(np.array([float(both.sum())]), permuted, permutations)
    return found | {
        "overlap": int(both.sum()),
        "expected": k * k / len(x),
        "overlap_p": float(overlap.p_values()[0]),
        "same_sign": int((x[both] * y[both] > 0).sum()),
    }


def _without_each(one: tuple[Rdm, Rdm], other: tuple[Rdm, Rdm], value: float) -> LeftOut:
    found = []
    for place in range(len(one[0])):
        x, y = (
            decoupling(*(rdm.without(rdm.names[place]) for rdm in study)) for study in (one, other)
        )
        rho = None if x is None or y is None else spearman(x, y)
        found.append(np.nan if rho is None else rho)
    return LeftOut(value, np.array(found))
