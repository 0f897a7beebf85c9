"""Do the pairs that part from their radial structure in one study do so in another?

A pair's decoupling is z_js - z_cos (`rsa.decoupling`): positive where the pair is nearer in hidden
states than in behavior.
"""

from typing import Any

import numpy as np

from persona_geometry.comparison.repeats import LeftOut, correlation_intervals
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.decoupling import z_scores
from persona_geometry.rsa.permutation import Permutations, mantel, permuted_products, share
from persona_geometry.rsa.ranks import spearman
from persona_geometry.rsa.residual import radial_residuals

FLAT = "A geometry does not vary beyond its radial structure."


def decoupling(cosine: Rdm, divergence: Rdm) -> np.ndarray | None:
    """(pairs,) z_js - z_cos; None where a geometry does not vary beyond its radial structure."""
    z = z_scores(radial_residuals(cosine, divergence))
    return None if z is None else z[1] - z[0]


def top(values: np.ndarray, k: int) -> np.ndarray:
    """(pairs,) 1 for the k largest in size, of equal ones the first, and 0 for the others."""
    chosen = np.zeros(len(values))
    chosen[np.argsort(-doubled_ranks(np.abs(values)), kind="stable")[:k]] = 1
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
        `spearman` of z_js - z_cos over pairs, its one-sided `p` and its `interval` over personas
        (the residuals taken anew without each); `overlap`, how many of the k pairs of largest
        |z_js - z_cos| are in both, the `expected` overlap of unrelated studies and its `overlap_p`;
        `same_sign`, how many of these have the same sign; `pairs`, named as in `one`, each with
        both differences; and a `reason` where all are None.
    """
    x, y = decoupling(*one), decoupling(*other)
    if x is None or y is None:
        nothing = dict.fromkeys(("spearman", "p", "interval", "overlap", "expected", "overlap_p"))
        return nothing | {"same_sign": None, "pairs": [], "top_k": k, "reason": FLAT}
    names = one[0].names
    null = mantel([Rdm(names, x)], Rdm(names, y), permutations)
    tops = top(x, k), top(y, k)
    common = np.flatnonzero(tops[0] * tops[1])
    permuted = permuted_products(tops[0][None], tops[1], permutations)[:, 0]
    trivial = k >= len(x)
    overlap_p = share(
        np.array((permuted >= len(common) - 1e-9).sum()),
        len(permuted),
        np.array(float(len(common))),
        permutations,
    )
    pairs = list(one[0].pairs)
    return {
        "spearman": float(null.observed[0]),
        "p": float(null.p_values()[0]),
        "interval": correlation_intervals(_without_each(one, other, float(null.observed[0])))[
            "personas"
        ],
        "overlap": None if trivial else len(common),
        "expected": None if trivial else k * k / len(x),
        "overlap_p": None if trivial else float(overlap_p),
        "same_sign": None if trivial else int((x[common] * y[common] > 0).sum()),
        "pairs": [
            {"pair": list(pairs[i]), "z_difference": [float(x[i]), float(y[i])]} for i in common
        ],
        "top_k": k,
        "reason": "top_k is every pair, so both have the same." if trivial else None,
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
