"""Named pairs: where the two geometries agree, where they part, and what was predicted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.residual import Residuals, macro_clusters


def pair_table(
    clusters: Mapping[str, str],
    cosine: Rdm,
    divergence: Rdm,
    magnitude: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """One row a pair of personas, in the order of the upper triangle.

    Args:
        clusters: fine cluster of every clustered persona.
        cosine, divergence: RDMs of the same personas.
        magnitude: (pairs,) residual magnitudes, or None.

    Returns:
        Rows of `pair`, `relation` ("within_cluster", "same_macro" or "cross_macro"), `cosine`,
        `js`, their mid-ranks `cosine_rank` and `js_rank` (1 is the closest pair) and `magnitude`.
    """
    macro = dict(zip(cosine.names, macro_clusters(cosine.names, clusters), strict=True))
    rows = []
    for k, (first, second) in enumerate(cosine.pairs):
        if first in clusters and clusters[first] == clusters.get(second):
            relation = "within_cluster"
        else:
            relation = "same_macro" if macro[first] == macro[second] else "cross_macro"
        rows.append(
            {
                "pair": [first, second],
                "relation": relation,
                "cosine": float(cosine.vector[k]),
                "js": float(divergence.vector[k]),
                "cosine_rank": float(cosine.ranks[k] / 2),
                "js_rank": float(divergence.ranks[k] / 2),
                "magnitude": None if magnitude is None else float(magnitude[k]),
            }
        )
    return rows


def residual_magnitudes(residuals: Residuals) -> np.ndarray | None:
    """(pairs,) |z| + |z| of two RDMs' residuals, each divided by its population sd."""
    x, y = residuals.x.vector, residuals.y.vector
    if not (x.std() > 0 and y.std() > 0):
        return None
    return np.abs(x - x.mean()) / x.std() + np.abs(y - y.mean()) / y.std()


def top_residual_pairs(table: Sequence[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """The k pairs that the radial covariate fits worst."""
    if table and table[0]["magnitude"] is None:
        return []
    return sorted(table, key=lambda row: -row["magnitude"])[:k]


def agreeing_pairs(table: Sequence[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """The k pairs whose two ranks differ least; among equals those far from the middle first."""
    middle = (len(table) + 1) / 2
    return sorted(
        table,
        key=lambda row: (
            abs(row["cosine_rank"] - row["js_rank"]),
            -abs(row["cosine_rank"] - middle),
        ),
    )[:k]


def disagreeing_pairs(table: Sequence[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """The k pairs whose two ranks differ most."""
    return sorted(table, key=lambda row: -abs(row["cosine_rank"] - row["js_rank"]))[:k]


def check_predictions(
    table: Sequence[dict[str, Any]],
    top: Sequence[dict[str, Any]],
    predicted: Sequence[Sequence[str]],
) -> dict[str, Any] | None:
    """Whether every predicted pair is among the top residual pairs; None without predictions."""
    if not predicted:
        return None
    leading = [frozenset(row["pair"]) for row in top]
    found = {frozenset(row["pair"]): row for row in table}
    rows = [
        {**found[frozenset(pair)], "in_top_k": frozenset(pair) in leading}
        for pair in predicted
        if frozenset(pair) in found
    ]
    complete = len(rows) == len(predicted) and bool(top)
    return {
        "pairs": rows,
        "top_k": len(top),
        "all_in_top_k": all(row["in_top_k"] for row in rows) if complete else None,
    }


def stability(top_of_layer: Mapping[int, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """In which layers each pair is among the top residual pairs, most layers first."""
    layers: dict[frozenset[str], list[int]] = {}
    names: dict[frozenset[str], list[str]] = {}
    for layer, rows in top_of_layer.items():
        for row in rows:
            key = frozenset(row["pair"])
            names.setdefault(key, row["pair"])
            layers.setdefault(key, []).append(layer)
    rows = [{"pair": names[k], "layers": at, "n_layers": len(at)} for k, at in layers.items()]
    return sorted(rows, key=lambda row: -row["n_layers"])
