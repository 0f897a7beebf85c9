"""Why a statistic has no value, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from persona_geometry.rsa.bootstrap import CONSTANT

OTHERWISE = "What it is computed from does not vary, or there is too little of it."
NO_PREDICTOR = "The study does not have this predictor, or it is the same for every pair."
NO_COVARIATE = "Whether two personas share a cluster is the same for every pair."
TOO_FEW_PAIRS = "There are too few pairs for so many covariates: fewer than 3 more than these."
UNREACHED = "No correlation is found with 80 % power, or the test has too few permutations."
EXPLAINED = "Cluster membership explains all that varies in one of the geometries."

COVARIATES_EXPLAIN = "The covariates explain all that varies in one of the geometries."


def layer_reasons(statistics: Mapping[str, Any], of_partials: Mapping[str, str]) -> dict[str, str]:
    """Why numbers of a layer are null that have no `reason` beside them, by their names.

    Args:
        statistics: of the layer.
        of_partials: partial statistic to why it would be null; without clusters there are none.
    """
    return dict(_reasons(statistics, of_partials))


def _reasons(
    statistics: Mapping[str, Any], of_partials: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for name, reason in of_partials.items():
        if statistics[name] is None:
            yield name, reason
    power = statistics.get("stratified_power")
    if power and power["detectable_rho"] is None:
        yield "stratified_power.detectable_rho", UNREACHED
    explained = statistics.get("commonality") or {"r2": None}
    if explained["r2"] is not None:
        for kind in ("alone", "unique", "shared"):
            for name, value in explained[kind].items():
                if value is None:
                    yield f"commonality.{kind}.{name}", NO_PREDICTOR
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
