"""How well the divergence geometry could be predicted, given how few prompts measured it.

Two halves of the prompts measure the same geometry twice. Their correlation, stepped up to all
prompts by the formula of Spearman (1910) and Brown (1910), is the reliability of the mean; its
square root is the correlation that the geometry of endlessly many prompts would have with it.
"""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import RdmStack
from persona_geometry.rdms.triangle import doubled_ranks
from persona_geometry.rsa.reasons import FROM_A_FILE

DISAGREE = "Halves of the prompts do not agree, so no reliability can be told."
FLAT_HALF = "The distances of a half of the prompts do not vary."
FIELDS = ("split_half", "reliability", "rho_ceiling", "low", "high", "splits", "exhaustive")


def noise_ceiling(by_prompt: RdmStack | None, splits: int, seed: int) -> dict[str, Any]:
    """Split-half reliability of the divergences, and the rank correlation it allows.

    Args:
        by_prompt: divergences of each prompt; None where they come from a file.
        splits: how many random splits to take; where fewer exist, each is taken once. An odd
            prompt out is left aside, a different one from split to split.
        seed: of the random splits.

    Returns:
        `split_half` (mean Spearman correlation between the halves' mean divergences),
        `reliability` (of the mean over all prompts), `rho_ceiling` (its square root), `low` and
        `high` (2.5 and 97.5 % points of the ceiling over the splits, 0 where halves do not agree:
        how much it depends on the split, not a confidence interval), `splits`, `exhaustive` and
        `reason`: why there is no reliability and no ceiling, as where `split_half` is not positive,
        or why nothing was computed.

    A predictor free of noise, and of this sample of prompts, is expected to reach `rho_ceiling`.
    A geometry measured with noise falls short of it, and one measured on the same prompts may
    share their peculiarities and pass it.
    """
    nothing = dict.fromkeys(FIELDS)
    if by_prompt is None or (reason := why_no_halves(by_prompt, splits)):
        return nothing | {"reason": FROM_A_FILE if by_prompt is None else reason}
    prompts, pairs = len(by_prompt), by_prompt.vectors
    first, second, exhaustive = halves(prompts, splits, np.random.default_rng(seed))
    rho = row_correlations(doubled_ranks(first @ pairs), doubled_ranks(second @ pairs))
    if not np.isfinite(rho).all():
        return nothing | {"reason": FLAT_HALF}
    lengthening = prompts / (prompts // 2)
    split_half = float(rho.mean())
    found: dict[str, Any] = dict.fromkeys(("reliability", "rho_ceiling", "low", "high"))
    if (reliability := reliability_of(split_half, lengthening)) is not None:
        ceilings = np.sqrt(spearman_brown(np.maximum(rho, 0.0), lengthening))
        low, high = np.quantile(ceilings, [0.025, 0.975])
        found = {
            "reliability": reliability,
            "rho_ceiling": float(np.sqrt(reliability)),
            "low": float(low),
            "high": float(high),
        }
    return {
        "split_half": split_half,
        **found,
        "splits": len(rho),
        "exhaustive": exhaustive,
        "reason": None if reliability is not None else DISAGREE,
    }


def why_no_halves(by_prompt: RdmStack, splits: int) -> str | None:
    """Why prompts cannot be halved, or their halves not be correlated; None where they can."""
    if len(by_prompt) < 2:
        return "A single prompt has no halves."
    if len(by_prompt.names) < 3:
        return "There are fewer than three personas."
    return None if splits else "alignment.noise_ceiling_splits is 0."


def reliability_of(split_half: float, lengthening: float) -> float | None:
    """Reliability of all prompts, in (0, 1]; None where halves do not agree positively.

    The formula means nothing there: near -1 it runs to minus infinity.
    """
    return float(spearman_brown(split_half, lengthening)) if split_half > 0 else None


def spearman_brown(reliability: np.ndarray | float, lengthening: float) -> np.ndarray | float:
    """Reliability of a measure made `lengthening` times as long."""
    return lengthening * reliability / (1 + (lengthening - 1) * reliability)


def halves(
    prompts: int, splits: int, stream: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Two (S, Q) matrices of weights that average the prompts of either half, and whether all."""
    half = prompts // 2
    existing = comb(prompts, half) * comb(prompts - half, half) // 2
    if existing <= splits:
        pairs = [
            (one, other)
            for one in combinations(range(prompts), half)
            for other in combinations(sorted(set(range(prompts)) - set(one)), half)
            if one < other
        ]
        drawn = np.array(pairs).reshape(len(pairs), 2 * half)
    else:
        drawn = stream.permuted(np.tile(np.arange(prompts), (splits, 1)), axis=1)[:, : 2 * half]
    first, second = np.zeros((2, len(drawn), prompts))
    np.put_along_axis(first, drawn[:, :half], 1 / half, axis=1)
    np.put_along_axis(second, drawn[:, half:], 1 / half, axis=1)
    return first, second, existing <= splits


def row_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) Pearson correlations of the rows of x and y; NaN where one is constant."""
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho: np.ndarray = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return rho
