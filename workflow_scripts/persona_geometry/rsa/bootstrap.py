"""Bootstrap confidence intervals for the rank correlation of two geometries.

Prompts and personas are both samples: the prompts of what could have been asked, the personas of
who could have been played. Each is resampled alone, and both together; the three variances are
combined by the corrected dual bootstrap of Schütt et al. (2023, eLife 12:e82566), in the
small-sample form that rsatoolbox uses.

A resample is held as a row of multiplicities, not as a list of indices. A pair of personas then
weighs the product of its members' multiplicities, a persona drawn twice makes no pair with
itself, and Spearman's correlation of the enlarged sample is a weighted one on the original pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import apart
from persona_geometry.rsa.intervals import Spread, bounded_t_interval, no_interval
from persona_geometry.rsa.prompt_centroids import weighted_cosine_distances
from persona_geometry.rsa.reasons import CONSTANT, TOO_FEW_PROMPTS

METHOD = "bootstrap: ρ ± t · SE, cut to [-1, 1] (Schütt et al. 2023)"
NO_CLUSTERS = "There are no two clusters, so they cannot be a sample."
MIN_PERSONAS = 4
MIN_DEFINED = 0.95  # share of resamples
_CHUNK_ELEMENTS = 2_000_000


def bootstrap_intervals(
    cosine_vectors: np.ndarray | None,
    cosine: Rdm,
    divergence: Rdm,
    by_prompt: RdmStack | None,
    n: int,
    seed: int,
    clusters: Sequence[str] = (),
    seen: Callable[[np.ndarray, np.ndarray], object] | None = None,
) -> dict[str, dict[str, Any]]:
    """Confidence intervals of Spearman's correlation between cosine distance and divergence.

    Args:
        cosine_vectors: (Q, N, d) vectors per prompt and persona, whose means over prompts are the
            centroids. Without them the cosine distances stay fixed while prompts are resampled.
        cosine: cosine distances of the centroids.
        divergence: divergences, in nats.
        by_prompt: those of each prompt, whose mean is `divergence`, or None.
        n: number of resamples.
        seed: the same seed gives the same resamples to every layer.
        clusters: of each persona, one without a cluster being a cluster of its own; empty for
            none.
        seen: given the (m, P) distances of both geometries in each block of resampled prompts, or
            (1, P) where the cosine distances stay.

    Returns:
        `prompts`, `personas`, `dual` and `clusters` (drawn with all their personas), each with
        `low`, `high` (the ends of the 95 % interval, within [-1, 1]), `level`, `se`, `df`,
        `resamples` (how many of the n had a correlation), `method` and `reason`. The interval is
        the observed correlation plus and minus `se` times Student's t, with one degree of freedom
        fewer than there are prompts, personas, the fewer of the two, or clusters. Where it cannot
        be computed (fewer than two prompts, too few personas or clusters for 95 % of the
        resamples to have a correlation, a constant matrix) the ends are None and `reason` says
        why.
    """
    personas, prompts = len(cosine), 0 if by_prompt is None else len(by_prompt)
    mean = divergence if by_prompt is None else by_prompt.mean()
    cosine_pairs, js_pairs = cosine.vector[None], mean.vector[None]
    rho = float(weighted_spearman(cosine_pairs, js_pairs, np.ones_like(js_pairs))[0])
    if not np.isfinite(rho):
        nothing = no_interval(CONSTANT) | {"resamples": 0, "method": METHOD}
        return dict.fromkeys(("prompts", "personas", "dual", "clusters"), nothing)

    names, cluster_of = np.unique(np.array(clusters, dtype=str), return_inverse=True)
    sizes = {"prompts": prompts, "personas": personas, "clusters": len(names)}
    streams = [np.random.default_rng([seed, k]) for k in range(3)]
    prompt_counts, persona_counts, cluster_counts = (
        multiplicities(stream, size, n) if size > 1 else None
        for stream, size in zip(streams, sizes.values(), strict=True)
    )
    drawn = {kind: np.full(n, np.nan) for kind in ("prompts", "personas", "dual", "clusters")}
    for rows in _chunks(n, cosine_pairs.shape[1]):
        if persona_counts is not None:
            weights = pair_weights(persona_counts[rows])
            drawn["personas"][rows] = weighted_spearman(cosine_pairs, js_pairs, weights)
        if cluster_counts is not None:
            of_clusters = cluster_pair_weights(cluster_counts[rows], cluster_of)
            drawn["clusters"][rows] = weighted_spearman(cosine_pairs, js_pairs, of_clusters)
        if by_prompt is not None and prompt_counts is not None:
            js = prompt_counts[rows] @ by_prompt.vectors / prompts
            resampled = cosine_pairs
            if cosine_vectors is not None:
                resampled = weighted_cosine_distances(cosine_vectors, prompt_counts[rows])
            if seen is not None:
                seen(resampled, js)
            drawn["prompts"][rows] = weighted_spearman(resampled, js, np.ones_like(js))
            if persona_counts is not None:
                drawn["dual"][rows] = weighted_spearman(resampled, js, weights)

    defined = {kind: values[np.isfinite(values)] for kind, values in drawn.items()}
    spreads = _spreads(defined, sizes)
    intervals = {}
    for kind, values in defined.items():
        reason = _why_not(kind, sizes, len(values), n)
        interval = no_interval(reason) if reason else bounded_t_interval(rho, spreads[kind])
        intervals[kind] = interval | {"resamples": len(values), "method": METHOD}
    return intervals


def _spreads(drawn: dict[str, np.ndarray], sizes: dict[str, int]) -> dict[str, Spread]:
    """Variance and degrees of freedom of each kind that was resampled."""
    variance = {kind: float(np.var(v, ddof=1)) for kind, v in drawn.items() if len(v) > 1}
    found = {
        kind: Spread(variance[kind] * size / (size - 1), size - 1)
        for kind, size in sizes.items()
        if kind in variance
    }
    if {"prompts", "personas", "dual"} <= variance.keys():
        prompts, personas = sizes["prompts"], sizes["personas"]
        of_both = dual_variance(
            variance["prompts"],
            variance["personas"],
            variance["dual"],
            n_prompts=prompts,
            n_personas=personas,
        )
        found["dual"] = Spread(of_both, min(prompts, personas) - 1)
    return found


def _why_not(kind: str, sizes: dict[str, int], defined: int, n: int) -> str | None:
    """Why there is no interval; None where there is one."""
    if kind in ("prompts", "dual") and sizes["prompts"] < 2:
        return TOO_FEW_PROMPTS
    if kind == "clusters" and sizes["clusters"] < 2:
        return NO_CLUSTERS
    if kind != "prompts" and sizes["personas"] < MIN_PERSONAS:
        return f"{sizes['personas']} personas are too few to resample."
    if defined < 2 or defined < MIN_DEFINED * n:
        return (
            f"Only {defined} of {n} resamples have a correlation: too few different ones are "
            f"drawn, or their distances do not vary."
        )
    return None


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows, each of a bounded number of elements."""
    step = max(1, _CHUNK_ELEMENTS // max(columns, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def resampled_correlations(
    cosine_pairs: np.ndarray, js_pairs: np.ndarray, persona_counts: np.ndarray
) -> np.ndarray:
    """Spearman's correlation in each resample of personas.

    Args:
        cosine_pairs, js_pairs: (n, P) distances of the pairs of the upper triangle in each
            resample of prompts, or (1, P) where the prompts stay.
        persona_counts: (n, N) multiplicities of personas.

    Returns:
        (n,) correlations, NaN where fewer than three different personas leave a single pair.
    """
    rho = np.empty(len(persona_counts))
    for rows in _chunks(len(rho), cosine_pairs.shape[1]):
        rho[rows] = weighted_spearman(
            cosine_pairs if len(cosine_pairs) == 1 else cosine_pairs[rows],
            js_pairs if len(js_pairs) == 1 else js_pairs[rows],
            pair_weights(persona_counts[rows]),
        )
    return rho


def dual_variance(
    prompts: float, personas: float, both: float, *, n_prompts: int, n_personas: int
) -> float:
    """Variance over prompts and personas, from the variances of three bootstraps.

    Resampling both at once counts the noise of their interaction three times. The correction is
    that of rsatoolbox (`_dual_bootstrap` with both sample sizes): never below either single
    variance, never above `both`.
    """
    grow_prompts = n_prompts / (n_prompts - 1)
    grow_personas = n_personas / (n_personas - 1)
    corrected = (
        grow_prompts * prompts
        + grow_personas * personas
        - grow_prompts * grow_personas * (both - prompts - personas)
    )
    return min(max(corrected, grow_prompts * prompts, grow_personas * personas), both)


def multiplicities(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
    """(n, size) times each of `size` units is drawn in n resamples with replacement."""
    return stream.multinomial(size, np.full(size, 1 / size), size=n).astype(float)


def pair_weights(counts: np.ndarray) -> np.ndarray:
    """(n, pairs) times each pair of different units occurs, from (n, units) multiplicities."""
    first, second = np.triu_indices(counts.shape[1], 1)
    weights: np.ndarray = counts[:, first] * counts[:, second]
    return weights


def cluster_pair_weights(counts: np.ndarray, cluster_of: np.ndarray) -> np.ndarray:
    """(n, pairs) times each pair of personas occurs where clusters are drawn whole.

    A pair within a cluster comes with every copy of it; copies make no pairs with each other.

    Args:
        counts: (n, K) multiplicities of clusters.
        cluster_of: (N,) cluster of each persona, 0 to K - 1.
    """
    first, second = (cluster_of[side] for side in np.triu_indices(len(cluster_of), 1))
    within = first == second
    weights: np.ndarray = counts[:, first] * np.where(within, 1.0, counts[:, second])
    return weights


def weighted_spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of x and y where each point occurs a whole number of times.

    Args:
        x, y: (P,), (1, P) or (n, P) values.
        weights: (n, P) multiplicities; a point of weight 0 is absent.

    Returns:
        (n,) correlations of mid-ranks, NaN where a side is constant.
    """
    x_ranks, y_ranks = _mid_ranks(x, weights), _mid_ranks(y, weights)
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x_ranks -= (weights * x_ranks).sum(axis=1, keepdims=True) / total
        y_ranks -= (weights * y_ranks).sum(axis=1, keepdims=True) / total
        spread = (weights * x_ranks**2).sum(axis=1) * (weights * y_ranks**2).sum(axis=1)
        rho: np.ndarray = (weights * x_ranks * y_ranks).sum(axis=1) / np.sqrt(spread)
    return rho


def _mid_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, P) mid-ranks, up to a constant, of values that occur `weights` times.

    Values that differ by rounding are tied, as in `doubled_ranks`.
    """
    values = np.atleast_2d(values)
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    starts = np.ones(ordered.shape, dtype=bool)
    starts[:, 1:] = apart(ordered)
    ends = np.ones(ordered.shape, dtype=bool)
    ends[:, :-1] = starts[:, 1:]
    order = np.broadcast_to(order, weights.shape)
    occurrences = np.take_along_axis(weights, order, axis=1)
    through = np.cumsum(occurrences, axis=1)
    below = np.maximum.accumulate(np.where(starts, through - occurrences, 0.0), axis=1)
    above = np.where(ends, through, np.inf)
    above = np.minimum.accumulate(above[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(weights.shape)
    np.put_along_axis(ranks, order, (below + above) / 2, axis=1)
    return ranks
