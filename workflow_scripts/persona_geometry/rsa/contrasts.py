"""Do layers differ in their agreement, and which of them may be the one that agrees best?

All layers are measured on the same personas and prompts, so their correlations rise and fall
together. Whatever is left out is left out of every layer at once, and the spread is that of
differences.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from persona_geometry.rsa.equivalence import equivalence
from persona_geometry.rsa.intervals import LEVEL, t_interval, widest
from persona_geometry.rsa.jackknife import Jackknife, spreads

CONTRAST_METHOD = "jackknife: difference ± t · SE"
PEAK_METHOD = "multiple comparisons with the best (Hsu 1984), jackknife"
DRAWS = 10_000


def contrasts(
    layers: Mapping[int, Jackknife], smallest_effect: float | None = None
) -> list[dict[str, Any]]:
    """Differences of ρ between every two layers.

    Args:
        layers: their jackknives, of the same personas and prompts.
        smallest_effect: difference that would matter; None for no `equivalence`.

    Returns:
        For every two layers: `layers`, `difference` (ρ of the first less ρ of the second, NaN
        where one is not defined) and its 95 % intervals over `prompts`, `personas`, both
        (`dual`) and `clusters`: `low`, `high`, `level`, `se`, `df`, `method`, `reason`.
        `equivalence` is over both, or over personas where prompts are too few.
    """
    return [
        _contrast(pair, layers[pair[0]], layers[pair[1]], smallest_effect)
        for pair in combinations(layers, 2)
    ]


def _contrast(
    pair: tuple[int, int], one: Jackknife, other: Jackknife, smallest: float | None
) -> dict[str, Any]:
    difference = one.rho - other.rho
    without = {kind: rho - other.without[kind] for kind, rho in one.without.items()}
    intervals = {
        kind: t_interval(difference, spread, 2.0) | {"method": CONTRAST_METHOD}
        for kind, spread in spreads(without).items()
    }
    found = {"layers": list(pair), "difference": difference, **intervals}
    if smallest is None:
        return found | {"equivalence": None}
    over = widest(intervals)
    test = equivalence(difference, over, smallest)
    return found | {"equivalence": {"over": over["over"], **test}}


def peak(layers: Mapping[int, Jackknife], over: tuple[str, ...], seed: int) -> dict[str, Any]:
    """The layer of largest ρ, and the layers that may be best in truth.

    A layer is left out of the set where another one is significantly above it: where the largest
    of its t statistics against the others passes the 95 % point of what that largest would be
    were all layers equal, drawn with the correlations that the jackknife finds. The set holds the
    best layer in 95 % of studies (multiple comparisons with the best: Hsu 1984, Annals of
    Statistics 12:1136).

    Args:
        layers: jackknives of the same personas and prompts.
        over: what is taken for a sample: "personas", or "prompts" and "personas".
        seed: of the draws.

    Returns:
        `layer`, `spearman`, `confidence_set` (layers, in order), `level`, `over`, `method` and
        `reason`. Layers without a ρ take no part. The set is None where it cannot be computed,
        and `reason` says why.
    """
    defined = {layer: found for layer, found in layers.items() if np.isfinite(found.rho)}
    best = max(defined, key=lambda layer: defined[layer].rho, default=None)
    result = {
        "layer": best,
        "spearman": None if best is None else defined[best].rho,
        "confidence_set": None,
        "level": LEVEL,
        "over": list(over),
        "method": PEAK_METHOD,
        "reason": None,
    }
    if best is None:
        return result | {"reason": "No layer has a correlation."}
    of_best = spreads(defined[best].without)
    reasons = [reason for kind in over if isinstance(reason := of_best[kind], str)]
    rho = np.array([found.rho for found in defined.values()])
    without = [
        np.array([found.without.get(kind, ()) for found in defined.values()]) for kind in over
    ]
    if not reasons and not all(np.isfinite(values).all() for values in without):
        reasons = ["Without one of the units some layer's geometry does not vary."]
    if reasons:
        return result | {"reason": reasons[0]}
    kept = _not_significantly_below(rho, without, np.random.default_rng([seed, 2]))
    return result | {"confidence_set": [layer for layer, k in zip(defined, kept, strict=True) if k]}


def _not_significantly_below(
    rho: np.ndarray, without: list[np.ndarray], stream: np.random.Generator
) -> np.ndarray:
    """(L,) whether no other layer is significantly above each.

    Args:
        rho: (L,) correlations.
        without: for each kind of unit the (L, m) correlations without each of them.
    """
    noise, squares, scales = np.zeros((DRAWS, len(rho))), [], []
    for values in without:
        m = values.shape[1]
        # Products of two columns of deviations are the jackknife's covariances.
        deviations = np.sqrt((m - 1) / m) * (values - values.mean(axis=1, keepdims=True)).T
        noise += stream.standard_normal((DRAWS, m)) @ deviations
        squares.append(((deviations[:, :, None] - deviations[:, None, :]) ** 2).sum(axis=0))
        scales.append(stream.chisquare(m - 1, DRAWS) / (m - 1))
    variances, estimated = np.stack(squares, axis=-1), np.stack(scales)
    kept = np.empty(len(rho), dtype=bool)
    for layer, own in enumerate(rho):
        others = np.flatnonzero(variances[layer].sum(axis=-1) > 1e-20)
        above = rho[others] - own
        largest = (above / np.sqrt(variances[layer, others].sum(axis=-1))).max(initial=-np.inf)
        drawn = (noise[:, others] - noise[:, [layer]]) / np.sqrt(
            (variances[layer, others] @ estimated).T
        )
        critical = np.quantile(drawn.max(axis=1), LEVEL) if len(others) else np.inf
        kept[layer] = largest <= critical
    return kept
