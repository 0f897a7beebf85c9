"""Named pairs: where the two geometries agree, where they part, and what was predicted."""

from collections.abc import Mapping, Sequence
from typing import Any

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.decoupling import z_scores
from persona_geometry.rsa.residual import Residuals, macro_clusters

SIGNED = ("magnitude", "z_cos", "z_js", "z_difference")


def pair_table(
    clusters: Mapping[str, str],
    macro: Mapping[str, str],
    cosine: Rdm,
    divergence: Rdm,
    residuals: Residuals | None = None,
) -> list[dict[str, Any]]:
    """One row a pair of personas, in the order of the upper triangle.

    Args:
        clusters, macro: fine and macro cluster of every persona that has one.
        cosine, divergence: RDMs of the same personas.
        residuals: of both on their mean marginals, or None.

    Returns:
        Rows of `pair`, `relation` ("within_cluster", "same_macro" or "cross_macro"), `cosine`,
        `js`, their mid-ranks `cosine_rank` and `js_rank` (1 is the closest pair), `magnitude`
        (|z_cos| + |z_js|), `z_cos`, `z_js` (residuals over their population sd, positive where the
        pair is farther apart than its radial structure says) and `z_difference` (z_js - z_cos).
        The last four are None without residuals that vary.
    """
    z = residuals and z_scores(residuals)
    broad = dict(zip(cosine.names, macro_clusters(cosine.names, clusters, macro), strict=True))
    rows = []
    for k, (first, second) in enumerate(cosine.pairs):
        if first in clusters and clusters[first] == clusters.get(second):
            relation = "within_cluster"
        else:
            relation = "same_macro" if broad[first] == broad[second] else "cross_macro"
        rows.append(
            {
                "pair": [first, second],
                "relation": relation,
                "cosine": float(cosine.vector[k]),
                "js": float(divergence.vector[k]),
                "cosine_rank": float(cosine.ranks[k] / 2),
                "js_rank": float(divergence.ranks[k] / 2),
                **(_signed(float(z[0][k]), float(z[1][k])) if z else dict.fromkeys(SIGNED)),
            }
        )
    return rows


def _signed(z_cos: float, z_js: float) -> dict[str, float]:
    values = abs(z_cos) + abs(z_js), z_cos, z_js, z_js - z_cos
    return dict(zip(SIGNED, values, strict=True))


def top_residual_pairs(table: Sequence[dict[str, Any]], k: int) -> list[dict[str, Any]]:
    """The k pairs that the radial covariate fits worst."""
    if table and table[0]["magnitude"] is None:
        return []
    ranks = doubled_ranks([row["magnitude"] for row in table])
    return [table[place] for place in (-ranks).argsort(kind="stable")[:k]]


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
    """Whether every predicted pair is among the top residual pairs; None without predictions.

    Returns:
        `pairs` (rows with `in_top_k`), `top_k`, `all_in_top_k`, which is None where the answer
        could not have been another, and `reason`: why.
    """
    if not predicted:
        return None
    leading = [frozenset(row["pair"]) for row in top]
    found = {frozenset(row["pair"]): row for row in table}
    missing = [pair for pair in predicted if frozenset(pair) not in found]
    rows = [
        {**found[frozenset(pair)], "in_top_k": frozenset(pair) in leading}
        for pair in predicted
        if pair not in missing
    ]
    reason = None
    if not top:
        reason = "a geometry does not vary beyond its radial structure"
    elif missing:
        reason = f"{' and '.join(missing[0])} are not both among the personas compared"
    elif len(top) == len(table):
        reason = f"the top {len(top)} are all pairs there are"
    return {
        "pairs": rows,
        "top_k": len(top),
        "all_in_top_k": None if reason else all(row["in_top_k"] for row in rows),
        "reason": reason,
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
