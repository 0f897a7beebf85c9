"""Noise in both geometries: how reliable either is, and their correlation without it.

Prompts are halved, and both geometries are taken from either half. Correlating different halves
shares no noise: within a geometry it gives reliabilities, and between the geometries a correlation
that no peculiarity of single prompts can raise. Their ratio is Spearman's (1904) correlation
corrected for attenuation, in the form that holds where errors of the two sides are correlated.
"""

from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import RdmStack
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.noise_ceiling import (
    DISAGREE,
    FLAT_HALF,
    halves,
    reliability_of,
    row_correlations,
    why_no_halves,
)
from persona_geometry.rsa.prompt_centroids import halved_cosine_distances
from persona_geometry.rsa.reasons import FROM_A_FILE, NO_VECTORS


def split_prompts(
    vectors: np.ndarray | None, by_prompt: RdmStack | None, splits: int, seed: int
) -> dict[str, Any]:
    """Correlations between and within halves of the prompts, as means over splits.

    Args:
        vectors: (Q, N, d) vectors whose means over prompts are the centroids.
        by_prompt: divergences of the same prompts.
        splits: how many random splits to take; where fewer exist, each is taken once.
        seed: of the random splits, which are those of the noise ceiling.

    Returns:
        Correlations in [-1, 1]:

        `different_prompts`: cosine distances of one half with divergences of the other.
        `same_prompts`: of the same half.
        `split_half`: `cosine` and `js`, one half with the other.
        `reliability`: both, of all prompts, by the formula of Spearman and Brown; None where the
        `split_half` is not positive.
        `ceiling`: root of the product of the reliabilities: what two measures so noisy of one
        geometry reach. None where a reliability is not positive.
        `disattenuated`: `different_prompts` over the root of the product of `split_half`: the
        correlation of the geometries that endlessly many prompts would give. It may pass 1 by
        chance; None where a reliability is not positive.
        `splits`: how many were taken. `reason`: why what is None is so; everything is without
        vectors or by_prompt, with fewer than two prompts or three personas, or where a half does
        not vary.
    """
    nothing: dict[str, Any] = {
        **dict.fromkeys(("different_prompts", "same_prompts")),
        **{name: dict.fromkeys(("cosine", "js")) for name in ("split_half", "reliability")},
        **dict.fromkeys(("ceiling", "disattenuated", "splits")),
    }
    if by_prompt is None or vectors is None:
        return nothing | {"reason": FROM_A_FILE if by_prompt is None else NO_VECTORS}
    if reason := why_no_halves(by_prompt, splits):
        return nothing | {"reason": reason}
    prompts = len(by_prompt)
    first, second, _ = halves(prompts, splits, np.random.default_rng(seed))
    both = np.concatenate([first, second])
    halved = halved_cosine_distances(vectors, first > 0, second > 0)
    cosine = [doubled_ranks(distances) for distances in halved]
    js = np.split(doubled_ranks(both @ by_prompt.vectors), 2)

    def mean(*sides: tuple[np.ndarray, np.ndarray]) -> float:
        return float(np.mean([row_correlations(x, y) for x, y in sides]))

    split_half = {"cosine": mean((cosine[0], cosine[1])), "js": mean((js[0], js[1]))}
    different = mean((cosine[0], js[1]), (cosine[1], js[0]))
    if not np.isfinite([*split_half.values(), different]).all():
        return nothing | {"reason": FLAT_HALF}
    lengthening = prompts / (prompts // 2)
    reliability = {name: reliability_of(r, lengthening) for name, r in split_half.items()}
    known = [value for value in reliability.values() if value is not None]
    reliable = len(known) == len(reliability)
    return {
        "different_prompts": different,
        "same_prompts": mean((cosine[0], js[0]), (cosine[1], js[1])),
        "split_half": split_half,
        "reliability": reliability,
        "ceiling": float(np.sqrt(np.prod(known))) if reliable else None,
        "disattenuated": different / float(np.sqrt(np.prod(list(split_half.values()))))
        if reliable
        else None,
        "splits": len(first),
        "reason": None if reliable else DISAGREE,
    }
