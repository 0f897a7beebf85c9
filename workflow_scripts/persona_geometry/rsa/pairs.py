"""Named pairs: where the two geometries agree, where they part, and what was predicted."""

from collections.abc import Mapping, Sequence

import numpy as np

from persona_geometry.rsa.ranks import doubled_ranks, upper
from persona_geometry.rsa.residual import macro_clusters


def pair_table(
    personas: Sequence[str],
    clusters: Mapping[str, str],
    cosine: np.ndarray,
    js: np.ndarray,
    magnitude: np.ndarray | None,
) -> list[dict]:
    """One row a pair of personas, in the order of the upper triangle.

    Args:
        personas: N names.
        clusters: fine cluster of every clustered persona.
        cosine, js: (N, N) RDMs.
        magnitude: (pairs,) residual magnitudes, or None.

    Returns:
        Rows of `pair`, `relation` ("within_cluster", "same_macro" or "cross_macro"), `cosine`,
        `js`, their mid-ranks `cosine_rank` and `js_rank` (1 is the closest pair) and `magnitude`.
    """
    macro = macro_clusters(personas, clusters)
    x, y = upper(cosine), upper(js)
    ranks = doubled_ranks(x) / 2, doubled_ranks(y) / 2
    rows = []
    for k, (i, j) in enumerate(zip(*np.triu_indices(len(personas), 1), strict=True)):
        first, second = personas[i], personas[j]
        if first in clusters and clusters[first] == clusters.get(second):
            relation = "within_cluster"
        else:
            relation = "same_macro" if macro[i] == macro[j] else "cross_macro"
        rows.append(
            {
                "pair": [first, second],
                "relation": relation,
                "cosine": float(x[k]),
                "js": float(y[k]),
                "cosine_rank": float(ranks[0][k]),
                "js_rank": float(ranks[1][k]),
                "magnitude": None if magnitude is None else float(magnitude[k]),
            }
        )
    return rows


def residual_magnitudes(cosine_rest: np.ndarray, js_rest: np.ndarray) -> np.ndarray | None:
    """(pairs,) |z| + |z| of two RDMs' residuals, each divided by its population sd."""
    x, y = upper(cosine_rest), upper(js_rest)
    if not (x.std() > 0 and y.std() > 0):
        return None
    return np.abs(x - x.mean()) / x.std() + np.abs(y - y.mean()) / y.std()


def top_residual_pairs(table: Sequence[dict], k: int) -> list[dict]:
    """The k pairs that the radial covariate fits worst."""
    if table and table[0]["magnitude"] is None:
        return []
    return sorted(table, key=lambda row: -row["magnitude"])[:k]


def agreeing_pairs(table: Sequence[dict], k: int) -> list[dict]:
    """The k pairs whose two ranks differ least; among equals those far from the middle first."""
    middle = (len(table) + 1) / 2
    return sorted(
        table,
        key=lambda row: (
            abs(row["cosine_rank"] - row["js_rank"]),
            -abs(row["cosine_rank"] - middle),
        ),
    )[:k]


def disagreeing_pairs(table: Sequence[dict], k: int) -> list[dict]:
    """The k pairs whose two ranks differ most."""
    return sorted(table, key=lambda row: -abs(row["cosine_rank"] - row["js_rank"]))[:k]


def check_predictions(
    table: Sequence[dict], top: Sequence[dict], predicted: Sequence[Sequence[str]]
) -> dict | None:
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


def stability(top_of_layer: Mapping[int, Sequence[dict]]) -> list[dict]:
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
