"""Which geometry predicts a directed behavioral outcome better.

An outcome belongs to an ordered pair of personas (say, how far a habit trained into the source is
seen in the target). Both geometries are correlated with the same outcomes, so their correlations
depend on one another, and outcomes that share a persona depend on one another too; personas are
therefore what is resampled, and both correlations are taken on the same resamples.

Resampling the two sides of a pair at once counts what is peculiar to single pairs three times
(Owen 2007, Annals of Applied Statistics 1:386). A second bootstrap, over unordered pairs, measures
that part, and twice its variance is taken off.
"""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from persona_geometry.errors import InputError
from persona_geometry.rdms.rdm import Rdm
from persona_geometry.rsa.bootstrap import (
    MIN_DEFINED,
    MIN_PERSONAS,
    multiplicities,
    weighted_spearman,
)
from persona_geometry.rsa.intervals import (
    Spread,
    bounded_t_interval,
    delta_interval,
    no_interval,
)
from persona_geometry.rsa.outcome_table import Outcome
from persona_geometry.rsa.reasons import CONSTANT


def outcomes_comparison(
    cosine: Rdm,
    divergence: Rdm,
    outcomes: Sequence[Outcome],
    n: int,
    seed: int,
) -> dict[str, Any]:
    """Spearman's correlation of each geometry with the outcomes, and which is the stronger.

    Args:
        cosine, divergence: RDMs of the same personas.
        outcomes: (source, target, value) of ordered pairs.
        n: number of resamples of the personas that occur in `outcomes`.
        seed: of the resamples.

    Returns:
        `n_outcomes`, `n_personas` (that occur), `cosine` and `js` (each `spearman`, in [-1, 1],
        with `low`, `high`, `level`, `se`, `df`, `resamples` and `reason`), `difference` (`value`:
        strength of JS less strength of cosine, in [-1, 1], with the same) and `stronger`: "js",
        "cosine", or "undecided" where the interval of the difference holds 0. Strength is the
        absolute correlation; a resample keeps the sign of the whole sample. The intervals of
        correlations are taken on Fisher's z. What cannot be computed is None, and `reason`
        says why.

    Raises:
        InputError: an outcome names a persona that the RDMs do not hold.
    """
    position = {name: k for k, name in enumerate(cosine.names)}
    for source, target, _ in outcomes:
        for name in (source, target):
            if name not in position:
                raise InputError(
                    f"The outcomes name a persona '{name}' that the geometries do not hold; "
                    f"correct the name, add the persona, or remove its rows."
                )
    sources = np.array([position[source] for source, _, _ in outcomes], dtype=int)
    targets = np.array([position[target] for _, target, _ in outcomes], dtype=int)
    values = np.array([value for _, _, value in outcomes], dtype=float)
    occurring, places = np.unique(np.concatenate([sources, targets]), return_inverse=True)
    first, second = places[: len(sources)], places[len(sources) :]

    predictors = {
        "cosine": cosine.square[sources, targets],
        "js": divergence.square[sources, targets],
    }
    once = np.ones((1, len(values)))
    rho = {k: float(weighted_spearman(x, values, once)[0]) for k, x in predictors.items()}
    size = len(occurring)
    bootstraps = []
    if size >= MIN_PERSONAS:
        stream = np.random.default_rng(seed)
        persona_counts = multiplicities(stream, size, n)
        pair = np.unique(np.sort([first, second], axis=0), axis=1, return_inverse=True)[1].ravel()
        pair_counts = multiplicities(stream, pair.max() + 1, n)
        for weights in (persona_counts[:, first] * persona_counts[:, second], pair_counts[:, pair]):
            drawn = {k: weighted_spearman(x, values, weights) for k, x in predictors.items()}
            strength = {k: np.sign(rho[k]) * drawn[k] for k in predictors}
            bootstraps.append({**drawn, "difference": strength["js"] - strength["cosine"]})

    def with_interval(name: str, key: str, estimate: float) -> dict[str, Any]:
        drawn = [one[key][np.isfinite(one[key])] for one in bootstraps]
        reason, fewest = None, min((len(values) for values in drawn), default=0)
        if not isfinite(estimate):
            reason = CONSTANT
        elif size < MIN_PERSONAS:
            reason = f"The outcomes name {size} personas, which are too few to resample."
        elif not n:
            reason = "alignment.bootstrap is 0, and the interval is made of resamples."
        elif fewest < max(2, MIN_DEFINED * n):
            reason = f"Only {fewest} of {n} resamples have a correlation."
        elif name == "spearman" and abs(estimate) >= 1:
            reason = "ρ is exactly 1 or -1, where Fisher's z is infinite."
        if reason:
            interval = no_interval(reason)
        else:
            over_personas, over_pairs = (float(np.var(values, ddof=1)) for values in drawn)
            variance = corrected_variance(over_personas, over_pairs, size)
            ends = delta_interval if name == "spearman" else bounded_t_interval
            interval = ends(estimate, Spread(variance, size - 1))
        return {
            name: estimate if isfinite(estimate) else None,
            **interval,
            "resamples": fewest,
        }

    difference = with_interval("value", "difference", abs(rho["js"]) - abs(rho["cosine"]))
    return {
        "n_outcomes": len(values),
        "n_personas": size,
        **{k: with_interval("spearman", k, rho[k]) for k in predictors},
        "difference": difference,
        "stronger": _stronger(difference),
    }


def corrected_variance(personas: float, pairs: float, size: int) -> float:
    """Variance over `size` personas, from bootstraps over personas and over pairs.

    Never below the variance over pairs, which would be the answer were they independent.
    """
    return max(personas * size / (size - 1) - 2 * pairs, pairs)


def _stronger(difference: dict[str, Any]) -> str | None:
    if difference["low"] is None:
        return None
    if difference["low"] > 0:
        return "js"
    return "cosine" if difference["high"] < 0 else "undecided"
