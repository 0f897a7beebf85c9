"""Why a statistic has no value, in words: every null of alignment.json has a reason.

It stands in the `reason` beside the null, or in the `reasons` of the layer or of the study under
its name, or under the name of what it is a part of.
"""

from collections.abc import Iterator, Mapping
from typing import Any

CONSTANT = "A geometry does not vary, so there is no correlation."
TOO_FEW_PROMPTS = "Fewer than two prompts were measured, so they cannot be a sample."
FROM_A_FILE = "The divergences come from a file, so there are no single prompts."
NO_VECTORS = "The cosines come from a file, so there are no vectors of single prompts."
OTHERWISE = "What it is computed from does not vary, or there is too little of it."
NO_PREDICTOR = "The study does not have this predictor, or it is the same for every pair."
NO_COVARIATE = "Whether two personas share a cluster is the same for every pair."
TOO_FEW_PAIRS = "There are too few pairs for so many covariates: fewer than 3 more than these."
UNREACHED = "No correlation is found with 80 % power, or the test has too few permutations."
EXPLAINED = "Cluster membership explains all that varies in one of the geometries."
COVARIATES_EXPLAIN = "The covariates explain all that varies in one of the geometries."
RADIAL = "A geometry does not vary beyond its radial structure."
NOT_SET = "alignment.smallest_effect is not set."

WHY = {
    "all_gates_pass": "No gate was evaluated.",
    "anchor": "The study names no anchor.",
    "n_prompts": FROM_A_FILE,
    "kl_asymmetry": "It needs KL divergences, measured where the study has alignment.outcomes.",
    "across_layers.contrasts.equivalence": NOT_SET,
    "cka": "There are fewer than four personas, or either side is the same for all of them.",
    "cluster_collapsed": "There are fewer than three clusters, or their distances do not vary.",
    "cluster_masked": "Fewer than three pairs are of different clusters, or they do not vary.",
    "commonality": NO_PREDICTOR,
    "comparators": "alignment.comparators names none.",
    "comparators.whitened_cosine": "All distances of a geometry are 0.",
    "decoupling": RADIAL,
    "dispersion": "The cosine distances do not vary.",
    "jackknife": "Without a persona fewer than three pairs are left, or they do not vary.",
    "leave_out": "Without the persona a geometry does not vary beyond what is taken out.",
    "predictions": "alignment.predictions names no pairs.",
    "stratified_power.detectable_rho": UNREACHED,
    "stratified_power.observed_rho": "A geometry does not vary within clusters.",
    **dict.fromkeys(
        (
            *("residual_mean_marginal", "residual_mean_marginal_p", "residual_mean_marginal_r2"),
            *("residual_anchor", "residual_anchor_r2", "top_residual_pairs"),
            *("agreeing_pairs", "disagreeing_pairs"),
        ),
        RADIAL,
    ),
}
"""Why a statistic is null, by its name or that of what it is a part of; else `CONSTANT`."""


def reasons(
    found: Mapping[str, Any], lacking: Mapping[str, str], own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Why numbers are null that have no `reason` beside them.

    Args:
        found: statistics of a layer, or of the study without its layers.
        lacking: name of a statistic to what the study lacks for it, in words.
        own: reasons that come before those of `WHY`, by name.

    Returns:
        Name to reason. A name leaves out numbers of layers and quantiles, places in lists, and
        the names of prompts and personas.
    """
    first = {**_of_layer(found), **(own or {})}
    return {
        name: lacking.get(name) or _longest(name, first) or _longest(name, WHY) or CONSTANT
        for name in _unexplained(found)
    }


def _of_layer(found: Mapping[str, Any]) -> dict[str, str]:
    """Reasons that other numbers give."""
    written: dict[str, str] = {}
    cutoffs = found.get("cutoffs") or {"full": None}
    if cutoffs["full"] is not None and cutoffs["full"] <= 0:
        ratio = (
            f"ρ over whole responses is {cutoffs['full']:.3g}, and a ratio to what is not positive "
            f"means nothing."
        )
        written = {
            f"cutoffs.ratio.{cutoff}": ratio
            for cutoff in cutoffs["ratio"]
            if cutoffs[cutoff] is not None
        }
    for name, of in (
        ("outcomes.stronger", (found.get("outcomes") or {}).get("difference")),
        ("comparators.whitened_unbiased_cosine", found.get("crossvalidated_cosine")),
    ):
        if of and of["reason"]:
            written[name] = of["reason"]
    return written


def _unexplained(found: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Names of the nulls without a `reason` beside them."""
    if isinstance(found, list):
        for item in found:
            yield from _unexplained(item, path)
    elif isinstance(found, Mapping):
        if found.get("reason"):
            return
        for key, item in found.items():
            if key not in ("reason", "reasons", "gates", "layers"):
                yield from _unexplained(item, path if _is_unit(key, path) else (*path, key))
    elif found is None:
        yield ".".join(path)


def _is_unit(key: str, path: tuple[str, ...]) -> bool:
    """Whether a key is the number of a layer or quantile, or the name of a prompt or persona."""
    of_units = path[-1:] == ("quantiles",)
    of_units |= path[:1] in (("per_prompt",), ("jackknife",)) and len(path) == 2
    of_layers = path[:1] in (("layer_curve",), ("across_layers",), ("geometries",))
    return of_units or (of_layers and key.isdigit())


def _longest(name: str, known: Mapping[str, str]) -> str | None:
    """What is known of a name, or else of the nearest whole that it is a part of."""
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return known.get(name)


def why_null(name: str, statistics: Mapping[str, Any]) -> str:
    """Why the statistic of that name is null.

    Args:
        name: as a gate gives it.
        statistics: of a layer, with those of the study at it, and their `reasons`.
    """
    reason, value, path, rest = None, statistics, tuple[str, ...](), name
    while rest:
        key = first_key(rest, value) or rest.partition(".")[0]
        path = path if _is_unit(key, path) else (*path, key)
        value, rest = value.get(key), rest[len(key) + 1 :]
        if not isinstance(value, Mapping):
            break
        reason = value.get("reason") or reason
    name = ".".join([*path, *filter(None, rest.split("."))])
    return str(reason or _longest(name, statistics.get("reasons") or {}) or OTHERWISE)


def first_key(name: str, of: Any) -> str | None:
    """The key of a mapping that a dotted name begins with; None where none is.

    A key may itself hold a dot, as share_above_0.5 does.
    """
    keys = of if isinstance(of, Mapping) else ()
    return max((k for k in keys if name == k or name.startswith(f"{k}.")), key=len, default=None)
