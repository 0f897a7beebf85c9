"""Why a statistic has no value, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from persona_geometry.rsa.bootstrap import CONSTANT

OTHERWISE = "What it is computed from does not vary, or there is too little of it."
NO_COVARIATE = "Whether two personas share a cluster is the same for every pair."
EXPLAINED = "Cluster membership explains all that varies in one of the geometries."


def layer_reasons(
    statistics: Mapping[str, Any], covariates_vary: Mapping[str, bool]
) -> dict[str, str]:
    """Why numbers of a layer are null that have no `reason` beside them, by their names.

    Args:
        statistics: of the layer.
        covariates_vary: partial statistic to whether a covariate of it varies; without clusters
            there are none.
    """
    return dict(_reasons(statistics, covariates_vary))


def _reasons(
    statistics: Mapping[str, Any], covariates_vary: Mapping[str, bool]
) -> Iterator[tuple[str, str]]:
    for name, varies in covariates_vary.items():
        if statistics[name] is None:
            yield name, EXPLAINED if varies else NO_COVARIATE
    cutoffs = statistics["cutoffs"]
    if cutoffs["full"] is None:
        return
    for cutoff, ratio in cutoffs["ratio"].items():
        if ratio is None and cutoffs[cutoff] is not None:
            yield (
                f"cutoffs.ratio.{cutoff}",
                f"ρ over whole responses is {cutoffs['full']:.3g}, and a ratio to what is not "
                f"positive means nothing.",
            )


def why_null(name: str, statistics: Mapping[str, Any]) -> str:
    """Why the statistic of that name is null, as far as the statistics say so."""
    written = statistics.get("reasons") or {}
    if name in written:
        return str(written[name])
    reason, value = None, statistics
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            reason = value.get("reason") or reason
    if reason:
        return str(reason)
    if "spearman" in statistics and statistics["spearman"] is None:
        return CONSTANT
    return OTHERWISE
