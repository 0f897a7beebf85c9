"""Bootstrap confidence intervals for the rank correlation of two geometries.

Prompts and personas are both samples: the prompts of what could have been asked, the personas of
who could have been played. Each is resampled alone, and both together; the three variances are
combined by the corrected dual bootstrap of Schütt et al. (2023, eLife 12:e82566), in the
small-sample form that rsatoolbox uses.

A resample is held as a row of multiplicities, not as a list of indices. A pair of personas then
weighs the product of its members' multiplicities, a persona drawn twice makes no pair with
itself, and Spearman's correlation of the enlarged sample is a weighted one on the original pairs.
"""

import numpy as np
from scipy.stats import t as student_t

from persona_geometry.rdms.rdm import Rdm, RdmStack

LEVEL = 0.95
MIN_PERSONAS = 4
_CHUNK_ELEMENTS = 2_000_000


def bootstrap_intervals(
    cosine_vectors: np.ndarray | None,
    cosine: Rdm,
    divergence: Rdm,
    by_prompt: RdmStack | None,
    n: int,
    seed: int,
) -> dict[str, dict[str, float] | None]:
    """Confidence intervals of Spearman's correlation between cosine distance and divergence.

    Args:
        cosine_vectors: (Q, N, d) vectors per prompt and persona, whose means over prompts are the
            centroids. Without them the cosine distances stay fixed while prompts are resampled.
        cosine: cosine distances of the centroids.
        divergence: divergences, in nats.
        by_prompt: those of each prompt, whose mean is `divergence`, or None.
        n: number of resamples.
        seed: the same seed gives the same resamples to every layer.

    Returns:
        `prompts`, `personas` and `dual`, each None where it cannot be computed (fewer than two
        prompts, fewer than four personas, a constant matrix) or a dict of `low`, `high` (the
        ends of the 95 % interval, within [-1, 1]), `level` and `se`. The interval is the observed
        correlation plus and minus `se` times Student's t, with one degree of freedom fewer than
        there are prompts, personas, or the fewer of the two.
    """
    intervals: dict[str, dict[str, float] | None] = {
        "prompts": None,
        "personas": None,
        "dual": None,
    }
    personas = len(cosine)
    prompts = 0 if by_prompt is None else len(by_prompt)
    mean = divergence if by_prompt is None else by_prompt.mean()
    cosine_pairs, js_pairs = cosine.vector[None], mean.vector[None]
    rho = float(weighted_spearman(cosine_pairs, js_pairs, np.ones_like(js_pairs))[0])
    if not np.isfinite(rho):
        return intervals

    prompt_stream, persona_stream = (np.random.default_rng([seed, k]) for k in range(2))
    vary_personas = personas >= MIN_PERSONAS
    if vary_personas:
        persona_counts = multiplicities(persona_stream, personas, n)
        alone = resampled_correlations(cosine_pairs, js_pairs, persona_counts)
        persona_variance = _variance(alone)
        intervals["personas"] = t_interval(rho, _unbiased(persona_variance, personas), personas)
    if by_prompt is not None and prompts >= 2:
        prompt_counts = multiplicities(prompt_stream, prompts, n)
        resampled_js = prompt_counts @ by_prompt.vectors / prompts
        resampled_cosine = (
            cosine_pairs
            if cosine_vectors is None
            else resampled_cosine_distances(cosine_vectors, prompt_counts)
        )
        each_once = np.ones((n, personas))
        prompt_variance = _variance(
            resampled_correlations(resampled_cosine, resampled_js, each_once)
        )
        intervals["prompts"] = t_interval(rho, _unbiased(prompt_variance, prompts), prompts)
        if vary_personas:
            both = resampled_correlations(resampled_cosine, resampled_js, persona_counts)
            variance = dual_variance(
                prompt_variance,
                persona_variance,
                _variance(both),
                n_prompts=prompts,
                n_personas=personas,
            )
            intervals["dual"] = t_interval(rho, variance, min(prompts, personas))
    return intervals


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
    step = max(1, _CHUNK_ELEMENTS // max(cosine_pairs.shape[1], 1))
    for start in range(0, len(rho), step):
        rows = slice(start, start + step)
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


def t_interval(estimate: float, variance: float, n: int) -> dict[str, float] | None:
    """Student's t interval with n - 1 degrees of freedom, cut to [-1, 1]; None without variance."""
    if not np.isfinite(variance):
        return None
    se = float(np.sqrt(max(variance, 0.0)))
    half = se * float(student_t.ppf((1 + LEVEL) / 2, n - 1))
    return {
        "low": max(estimate - half, -1.0),
        "high": min(estimate + half, 1.0),
        "level": LEVEL,
        "se": se,
    }


def multiplicities(stream: np.random.Generator, size: int, n: int) -> np.ndarray:
    """(n, size) times each of `size` units is drawn in n resamples with replacement."""
    return stream.multinomial(size, np.full(size, 1 / size), size=n).astype(float)


def pair_weights(counts: np.ndarray) -> np.ndarray:
    """(n, pairs) times each pair of different units occurs, from (n, units) multiplicities."""
    first, second = np.triu_indices(counts.shape[1], 1)
    return counts[:, first] * counts[:, second]


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
        return (weights * x_ranks * y_ranks).sum(axis=1) / np.sqrt(spread)


def resampled_cosine_distances(vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Cosine distances of centroids under resampled prompts.

    Inner products of centroids are sums over pairs of prompts of inner products of single
    vectors, so the width d is met once and not in every resample.

    Args:
        vectors: (Q, N, d) vectors per prompt and persona.
        counts: (n, Q) multiplicities of prompts.

    Returns:
        (n, N(N-1)/2) distances, in the order of the upper triangle.
    """
    prompts, personas, width = vectors.shape
    by_persona = np.ascontiguousarray(vectors.transpose(1, 0, 2), dtype=np.float64)
    prompt_pairs = (counts[:, :, None] * counts[:, None, :]).reshape(len(counts), -1)
    inner = np.empty((len(counts), personas * (personas + 1) // 2))
    ends = np.cumsum(np.arange(personas, 0, -1))
    for persona, end in enumerate(ends):
        later = by_persona[persona:].reshape(-1, width)
        products = (by_persona[persona] @ later.T).reshape(prompts, -1, prompts)
        products = products.transpose(0, 2, 1).reshape(prompts**2, -1)
        inner[:, end - (personas - persona) : end] = prompt_pairs @ products
    first, second = np.triu_indices(personas)
    norms = np.sqrt(inner[:, first == second])
    distances = inner[:, first != second]
    for pair, (one, other) in enumerate(zip(*np.triu_indices(personas, 1), strict=True)):
        distances[:, pair] /= norms[:, one] * norms[:, other]
    return 1 - distances


def _mid_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, P) mid-ranks, up to a constant, of values that occur `weights` times."""
    values = np.atleast_2d(values)
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    starts = np.ones(ordered.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
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


def _variance(values: np.ndarray) -> float:
    defined = values[np.isfinite(values)]
    return float(np.var(defined, ddof=1)) if len(defined) > 1 else float("nan")


def _unbiased(variance: float, n: int) -> float:
    return variance * n / (n - 1)
