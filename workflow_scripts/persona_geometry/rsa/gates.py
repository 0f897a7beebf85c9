"""Gates: thresholds fixed in the config, evaluated on the statistics of a layer."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from persona_geometry.errors import InputError
from persona_geometry.study.sections import Gate

COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}

STATISTICS = frozenset(
    {
        "spearman",
        "mantel_p",
        "mantel_null",
        "stratified_mantel_p",
        "stratified_mantel_null",
        "stratified_power",
        "partial_fine",
        "partial_joint",
        "partial_mantel",
        "cluster_masked",
        "cluster_masked_n_pairs",
        "cluster_collapsed",
        "cluster_collapsed_n_pairs",
        "residual_mean_marginal",
        "residual_mean_marginal_p",
        "residual_mean_marginal_r2",
        "residual_anchor",
        "residual_anchor_r2",
        "with_anchor",
        "per_prompt",
        "cutoffs",
        "jackknife",
        "leave_out",
        "bootstrap",
        "cka",
        "dispersion",
        "outcomes",
    }
)
"""What a layer's statistics may carry a gate, so that a misspelled one is refused early."""


def check_name(path: str) -> None:
    """Refuse a gate that no result could ever satisfy or that must not be set.

    Raises:
        InputError: an unknown statistic, or one that may not carry a gate.
    """
    if path.partition(".")[0] not in STATISTICS:
        raise InputError(
            f"A gate names the statistic '{path}', which does not exist; see docs/statistics.md "
            f"for the names."
        )
    _refuse_partial_mantel(path)


def look_up(statistics: Mapping[str, Any], path: str) -> Any:
    """A statistic by name; a dot goes into a statistic made of several.

    Raises:
        InputError: there is no such statistic, or it may not carry a gate.
    """
    _refuse_partial_mantel(path)
    value: Any = statistics
    rest = path
    while rest:
        if value is None:
            return None
        keys = value if isinstance(value, Mapping) else {}
        # A key may itself hold a dot, as share_above_0.5 does.
        name = rest if rest in keys else rest.partition(".")[0]
        if name not in keys:
            if isinstance(value, Mapping) and name.isdigit():
                return None  # a cutoff that was not measured
            raise InputError(
                f"A gate names the statistic '{path}', which does not exist; see "
                f"docs/statistics.md for the names."
            )
        value, rest = value[name], rest[len(name) + 1 :]
    if isinstance(value, Mapping | list):
        raise InputError(f"A gate names '{path}', which is not a single number.")
    return value


def evaluate(gates: Sequence[Gate], statistics: Mapping[str, Any]) -> list[dict]:
    """Each gate with its value and status; what could not be computed is never passed."""
    results = []
    for gate in gates:
        value = look_up(statistics, gate.statistic)
        if value is None:
            status = "not_evaluated"
        else:
            met = COMPARISONS[gate.comparison](value, gate.threshold)
            status = "pass" if met else "fail"
        results.append(
            {
                "statistic": gate.statistic,
                "comparison": gate.comparison,
                "threshold": gate.threshold,
                "value": value,
                "status": status,
            }
        )
    return results


def _refuse_partial_mantel(path: str) -> None:
    if path.startswith("partial_mantel") and path.endswith("p"):
        raise InputError(
            f"A gate on '{path}' is refused: the p-value of a partial Mantel test is not valid "
            f"where both matrices are structured; gate on partial_joint or mantel_p instead."
        )
