"""What each part of a comparison's page says, in sentences made of sourced content."""

from collections.abc import Iterator, Mapping
from typing import Any

from persona_geometry.report.claims import claim
from persona_geometry.report.comparison import best_layers, second_order
from persona_geometry.report.counts import counted
from persona_geometry.report.page.sections import told_interval
from persona_geometry.report.sourced import listed
from persona_geometry.report.text import count, interval, number, p_value

SETTINGS = ("original", "match", "permutations", "seed", "top_k", "rule")
"""Keys of the config that say how studies were compared."""

BOUNDS = {"difference": "within ±", "gates": "at least"}
"""How a criterion's value is to lie beside its threshold; above it where nothing is said."""


def settings(comparison: Any) -> dict[str, Any]:
    """The comparison's settings, by key of the config."""
    return {"studies": list(comparison["studies"]), **{key: comparison[key] for key in SETTINGS}}


def answer(comparison: Any) -> Iterator[str]:
    """Question and answer in three sentences.

    Args:
        comparison: sourced content of comparison.json.
    """
    original, shared = comparison["original"], comparison["personas"]
    others = [name for name in comparison["studies"] if name != original]
    over = f", over {count(counted('entries', shared), 'shared persona')}" if shared else ""
    yield f"Does what study {original} found repeat in {listed(others, ' and ')}{over}?"
    judged = [
        f"{found['replication']} {claim('replicates', found)}" for found in comparison["verdicts"]
    ]
    yield (
        f"By the rule in the config, {'; '.join(judged)}."
        if judged
        else "No measured study stands beside the original, so none was judged by the rule."
    )
    pairs = [pair for pair in comparison["pairs"] if original in pair["studies"]]
    told = "; ".join(_beside(pair, at_headline(comparison, pair)) for pair in pairs)
    yield f"Side by side, {told}."


def at_headline(comparison: Any, pair: Any) -> Any:
    """What is compared at the headline layer of a pair's first study; None where nothing is."""
    headline = comparison["studies"][pair["studies"][0]]["headline_layer"]
    return next((row for row in pair["layers"] if row["layers"][0] == headline), None)


def _beside(pair: Any, row: Any) -> str:
    """How two studies stand to each other at the headline layer, as a part of a sentence."""
    first, second = pair["studies"]
    parts = []
    if found := pair["divergence"]:
        parts.append(
            f"divergences of {second} {claim('correlates', found)} with those of {first} "
            f"(ρ = {number(found['spearman'])}, 95 % interval {told_interval(found)})"
        )
    if row and (found := row["difference"]):
        parts.append(
            f"ρ at layer {row['layers'][0]} of {first} {claim('change', found)} that at layer "
            f"{row['layers'][1]} of {second} (Δρ = {number(found['value'])}, 95 % interval "
            f"{told_interval(found)})"
        )
    return ", and ".join(parts) or f"{second} could not be set beside it"


def by_depth(comparison: Any) -> list[dict[str, Any]]:
    """ρ at the original's configured layers and at their counterparts, a row a layer.

    Returns:
        `depth`, `layer` and `rho` of the original, and `others`, by study: `layer` and `rho`, or
        None where there is no counterpart.
    """
    original, studies = comparison["original"], comparison["studies"]
    pairs = [pair for pair in comparison["pairs"] if pair["studies"][0] == original]
    rows = []
    for place, own in enumerate(pairs[0]["layers"] if pairs else ()):
        others = {}
        for pair in pairs:
            at = pair["layers"][place]["layers"][1] if pair["layers"] else None
            others[pair["studies"][1]] = (
                None if at is None else {"layer": at, "rho": _rho(studies[pair["studies"][1]], at)}
            )
        rows.append(
            {
                **{"depth": own["depths"][0], "layer": own["layers"][0], "others": others},
                "rho": _rho(studies[original], own["layers"][0]),
            }
        )
    return rows


def _rho(study: Any, layer: int) -> Any:
    return next(point["spearman"] for point in study["curve"] if point["layer"] == layer)


def second_orders(comparison: Any) -> Iterator[str]:
    """How far every two studies have the same geometries, in sentences."""
    for pair in comparison["pairs"]:
        if pair["divergence"]:
            first, second = pair["studies"]
            yield second_order(f"The divergences of {first} and {second}", pair["divergence"])
            yield f"Of {first} and {second}: {best_layers(pair)}"
        elif pair["reason"]:
            yield f"{listed(pair['studies'], ' and ')}: {pair['reason']}"


def decoupling(comparison: Any) -> Iterator[str]:
    """Whether pairs part from their radial structure alike, at the headline layers."""
    for pair in comparison["pairs"]:
        row = at_headline(comparison, pair)
        found = row and row["decoupling"]
        if not found:
            continue
        first, second = pair["studies"]
        if found["spearman"] is None:
            yield f"Of {first} and {second}: {found['reason']}"
            continue
        text = (
            f"The decouplings of {first} at layer {row['layers'][0]} and of {second} at layer "
            f"{row['layers'][1]} {claim('correlates', found)}: ρ = {number(found['spearman'])} "
            f"(one-sided p = {p_value(found['p'])}, 95 % interval over personas "
            f"{interval(found['interval'])})"
        )
        if found["overlap"] is not None:
            text += (
                f"; of the {found['top_k']} pairs with the largest, {found['overlap']} are common "
                f"to both, {number(found['expected'], 1)} are expected of unrelated studies "
                f"(p = {p_value(found['overlap_p'])}), and {found['same_sign']} have one sign"
            )
        yield f"{text}."


def common_pairs(comparison: Any) -> list[dict[str, Any]]:
    """The decoupled pairs that two studies have in common at the headline layers, a row each."""
    rows = []
    for pair in comparison["pairs"]:
        at = at_headline(comparison, pair)
        if at and at["decoupling"]:
            rows += [{"studies": pair["studies"], **row} for row in at["decoupling"]["pairs"]]
    return rows


def caveats(comparison: Any, runs: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must know before the result is used, each computed from the data.

    Args:
        comparison: sourced content of comparison.json.
        runs: sourced content of the run.json of every measured study.
    """
    kinds = [pair["kind"] for pair in comparison["pairs"]]
    for what in ("model", "prompts"):
        if all(kind[what] == "same" for kind in kinds):
            yield (
                f"All studies have the same {what}: nothing here speaks for "
                f"{'another' if what == 'model' else 'others'}."
            )
    shared = comparison["personas"]
    yield (
        f"All measured studies share {count(counted('entries', shared), 'persona')}; other "
        f"personas were not tried, but for the intervals over personas."
        if shared
        else "Too few personas are shared by all measured studies, so each two have others."
    )
    for found in comparison["verdicts"]:
        if untold := counted("untold", found["criteria"]):
            yield (
                f"Of {found['replication']}, {untold} of "
                f"{counted('entries', found['criteria'])} criteria cannot be told: the interval "
                f"is too wide for the threshold, or there is none."
            )
    if len(comparison["verdicts"]) > 1:
        yield "Verdicts on several studies are not corrected for their number."
    if changed := counted("changed", runs):
        yield (
            f"The workflow's files differed from their commit where "
            f"{count(changed, 'study') if changed == 1 else f'{changed} studies'} ran."
        )
    if len({run["repository"]["commit"] for run in runs.values()}) > 1:
        yield "The studies were measured at different commits of the workflow."
    for remark in comparison["remarks"]:
        yield f"{remark}"
    for name, study in comparison["studies"].items():
        for remark in study["remarks"]:
            yield f"{name}: {remark}"
