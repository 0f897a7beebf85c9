"""Two one-sided tests: is an effect smaller than the smallest one that would matter?

A test that does not reject says nothing of equality. Here the hypothesis is that the effect lies
outside (-δ, δ), δ being the config's smallest effect of interest, and two one-sided tests reject it
or not (Schuirmann 1987; Lakens 2017). At 0.05 that is the same as asking whether the 90 % interval
lies inside.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from persona_geometry.rsa.reasons import CONSTANT
from persona_geometry.rsa.significance import significant

EQUAL, BEYOND, UNDECIDED = "equivalent", "beyond", "undecided"


def equivalence(
    estimate: float | None, interval: Mapping[str, Any], smallest: float, *, fisher: bool = False
) -> dict[str, Any]:
    """Whether an effect is smaller, or larger, than the smallest one of interest.

    Args:
        estimate: of the effect.
        interval: its `se` and `df`, None where there is no interval, and then its `reason`.
        smallest: δ, the smallest effect of interest.
        fisher: whether the effect is a correlation and `se` that of Fisher's z.

    Returns:
        `smallest_effect`; `p` of equivalence, in [0, 1]; `verdict`: "equivalent" where p is at
        most 0.05, "beyond" where the effect is at least so large on either side by a one-sided
        test at 0.025 each, "undecided" else; and `reason`: why the two are None, as where there
        is no interval, or None.
    """
    from scipy.special import stdtr  # slow to import, and the Snakefile reads this module

    result = {"smallest_effect": smallest, "p": None, "verdict": None, "reason": None}
    se, df = interval["se"], interval["df"]
    if estimate is None or se is None or not np.isfinite(estimate):
        return result | {"reason": interval.get("reason") or CONSTANT}
    value, bound = (np.arctanh(x) if fisher else x for x in (estimate, smallest))
    inner, outer = (float(sign * abs(value) + bound) for sign in (-1, 1))
    # The nearer bound decides; with a wide spread the other one may too.
    p = float(max(stdtr(df, -inner / se), stdtr(df, -outer / se)))
    beyond = significant(2 * float(stdtr(df, inner / se)))  # at half the level on either side
    verdict = EQUAL if significant(p) else BEYOND if beyond else UNDECIDED
    return result | {"p": p, "verdict": verdict}
