"""alignment.json in sentences. Every number is read from it."""

from collections.abc import Iterable, Mapping
from typing import Any

from persona_geometry.report import further
from persona_geometry.report.claims import claim
from persona_geometry.report.counts import counted
from persona_geometry.report.sourced import listed
from persona_geometry.report.text import (
    ROUNDING,
    count,
    divergence_name,
    interval,
    number,
    p_value,
    table,
    words,
)

STATUS = {"pass": "pass", "fail": "**fail**", "not_evaluated": "not evaluated"}


def summarize(alignment: dict[str, Any], model: str = "") -> str:
    """The summary as Markdown: gates first, then what stands behind them.

    Args:
        alignment: the content of alignment.json.
        model: what was measured and what was done to it, in a sentence; empty where RDMs were read.
    """
    headline = str(alignment["headline_layer"])
    layer = alignment["layers"][headline]
    parts = [
        f"# Study {alignment['study']}",
        _verdict(alignment),
        model,
        _gates(alignment),
        "## Agreement by layer",
        _by_layer(alignment),
        *_between_layers(alignment),
        f"## Layer {headline}",
        *mantel(layer),
        *further.many_tests(alignment, layer),
        *further.equality(alignment, layer),
        *further.other_geometries(alignment, headline),
        *further.comparators(layer),
        *clusters(layer),
        *covariates(layer),
        *radial(layer),
        *further.explained(layer),
        *prompts(alignment, layer),
        *robustness(layer),
        "## Pairs",
        *_pairs(alignment, layer),
        *outcomes(layer),
        *further.asymmetry(alignment),
        *_warnings(alignment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(alignment: dict[str, Any]) -> str:
    prompts = alignment["n_prompts"]
    over = f" and {count(prompts, 'prompt')}" if prompts else ""
    return (
        f"**{claim('gates', alignment['gates'])}** The cosine distances of "
        f"{count(alignment['n_personas'], 'persona')} "
        f"({count(alignment['n_pairs'], 'pair')}{over}) were compared with the "
        + (
            f"{divergence_name(alignment)} of their next-token distributions."
            if prompts
            else "divergences of a file."
        )
    )


def _gates(alignment: dict[str, Any]) -> str:
    if not alignment["gates"]:
        return ""
    rows = [
        f"| {gate['layer']} | {gate['statistic']} | {gate['comparison']} {gate['threshold']:g} "
        f"| {number(gate['value'], beside=gate['threshold'])} | {STATUS[gate['status']]} |"
        for gate in alignment["gates"]
    ]
    table = "| layer | statistic | gate | value | status |\n|---|---|---|---|---|\n"
    reasons = [
        f"- {gate['statistic']} at layer {gate['layer']} was not evaluated. {gate['reason']}"
        for gate in alignment["gates"]
        if gate["reason"]
    ]
    return table + "\n".join(rows) + ("\n\n" + "\n".join(reasons) if reasons else "")


def _by_layer(alignment: dict[str, Any]) -> str:
    layers, family = alignment["layers"], alignment["across_layers"]["family_wise_p"]
    over = over_all(layer["intervals"] for layer in layers.values())
    columns = {
        "layer": list(layers),
        "ρ": [number(layer["spearman"]) for layer in layers.values()],
        "95 % interval": [interval(layer["intervals"][over]) for layer in layers.values()],
        "Mantel p": [p_value(layer["mantel_p"]) for layer in layers.values()],
        "family-wise p": [p_value(family[name]) for name in layers],
    }
    if any(_has_clusters(layer) for layer in layers.values()):
        columns["stratified p"] = [p_value(of["stratified_mantel_p"]) for of in layers.values()]
        columns["joint partial"] = [number(of["partial_joint"]) for of in layers.values()]
    columns["residual"] = [number(layer["residual_mean_marginal"]) for layer in layers.values()]
    text = table(list(columns), zip(*columns.values(), strict=True))
    if any(layer["intervals"][over]["low"] is not None for layer in layers.values()):
        samples = {"dual": "prompts and personas are both taken for samples"}
        said = samples.get(over, "personas are taken for a sample")
        text += f"\n\nFor the intervals, {said}."
    return f"{text}\n\n{noise_ceiling(alignment)}"


def over_all(rows: Iterable[Mapping[str, Any]]) -> str:
    """Over what a table's intervals are: both where any row has that, or else personas."""
    return "dual" if any(row["dual"]["low"] is not None for row in rows) else "personas"


def _has_clusters(layer: dict[str, Any]) -> bool:
    partial = layer["partial_mantel"]
    return bool(partial) and "same_fine_cluster" in partial["covariates"]


def noise_ceiling(alignment: dict[str, Any]) -> str:
    """How far prompts alone let the two geometries agree, and where they agree more."""
    ceiling = alignment["noise_ceiling"]
    if ceiling["split_half"] is None:
        return f"The divergences' noise ceiling was not computed. {ceiling['reason']}"
    over = f"over {count(ceiling['splits'], 'split')} of the prompts"
    if (highest := ceiling["rho_ceiling"]) is None:
        return (
            f"The divergences have no noise ceiling: the mean correlation of halves "
            f"{over} is {number(ceiling['split_half'], beside=0.0)}. {ceiling['reason']}"
        )
    text = (
        f"The divergences' noise ceiling is ρ = {number(highest)} "
        f"(split-half reliability {number(ceiling['reliability'])} {over})."
    )
    above = [
        f"layer {name} ({number(layer['spearman'], beside=highest)})"
        for name, layer in alignment["layers"].items()
        if layer["spearman"] is not None and layer["spearman"] > highest
    ]
    if above:
        text += (
            f" ρ lies above it at {', '.join(above)}: both geometries share what is peculiar to "
            f"the prompts, or the ceiling is uncertain."
        )
    return text


def _between_layers(alignment: dict[str, Any]) -> Iterable[str]:
    peak, known = alignment["across_layers"]["peak"], counted("entries", alignment["layer_curve"])
    if peak["layer"] is not None and known > 1:
        kept = peak["confidence_set"]
        others = (
            f"The 95 % confidence set of the best layer, personas taken for a sample, holds "
            f"{count(counted('entries', kept), 'layer')}: {listed(kept)}."
            if kept
            else f"A confidence set of the best layer was not computed: {peak['reason']}"
        )
        best = [
            name
            for name, of in alignment["layer_curve"].items()
            if of["spearman"] is not None and of["spearman"] >= peak["spearman"] - ROUNDING
        ]
        yield (
            f"Among {count(known, 'known layer')}, ρ is largest at "
            f"{'layers' if len(best) > 1 else 'layer'} {listed(best, ' and ')} "
            f"({number(peak['spearman'])}). {others}"
        )
    rows = [
        f"| {row['layers'][0]} less {row['layers'][1]} | {number(row['difference'])} "
        f"| {interval(row['prompts'])} | {interval(row['personas'])} | {interval(row['dual'])} |"
        for row in alignment["across_layers"]["contrasts"]
    ]
    if rows:
        yield (
            "Differences between layers, with 95 % intervals over prompts, personas and both:\n\n"
            "| layers | difference of ρ | prompts | personas | both |\n|---|---|---|---|---|\n"
            + "\n".join(rows)
        )


def mantel(layer: dict[str, Any]) -> Iterable[str]:
    """The test of ρ, its intervals, the spread of cosine distances, and ρ with the anchor."""
    null = layer["mantel_null"]
    if layer["spearman"] is None:
        yield (
            f"Spearman's correlation and its test were not computed: "
            f"{layer['intervals']['personas']['reason']}"
        )
    else:
        yield from _test(layer, null)
    spread = layer["dispersion"]
    wider = spread["ratio_to_widest"]
    yield (
        f"Cosine distances go from {number(spread['min'], 4)} to {number(spread['max'], 4)}, with "
        f"mean {number(spread['mean'], 4)} and standard deviation {number(spread['sd'], 4)}"
        + (
            f"; the standard deviation of the widest configured layer is {number(wider, 1)} times "
            f"that."
            if wider is not None
            else "."
        )
    )
    anchored = layer["with_anchor"]
    if anchored:
        yield (
            f"With the anchor ({count(anchored['n_pairs'], 'pair')}) "
            f"ρ = {number(anchored['spearman'])}, p = {p_value(anchored['mantel_p'])}."
        )


def _test(layer: dict[str, Any], null: dict[str, Any]) -> Iterable[str]:
    """ρ with its p-value and its intervals."""
    yield (
        f"Spearman's correlation is ρ = {number(layer['spearman'])}. Under "
        f"{_permutations(null)}, the null distribution has mean {number(null['mean'])} and "
        f"standard deviation {number(null['sd'])}; the one-sided Mantel p is "
        f"{p_value(layer['mantel_p'])}, and could not have been below "
        f"{p_value(null['smallest_p'])}."
    )
    clusters = _has_clusters(layer)
    yield _intervals("Its 95 % interval (jackknife) is", layer["intervals"], clusters=clusters)
    if layer["bootstrap"]:
        yield _intervals(
            "Its 95 % interval by the bootstrap is", layer["bootstrap"], clusters=clusters
        )


def _intervals(lead: str, intervals: dict[str, Any], *, clusters: bool) -> str:
    """The intervals that there are, and why there are no others; of clusters where those are."""
    units = {
        "prompts": "prompts",
        "personas": "personas",
        "dual": "prompts and personas",
        "clusters": "new clusters",
    }
    known = [
        f"{interval(intervals[kind])} over {unit}"
        for kind, unit in units.items()
        if intervals[kind]["low"] is not None
    ]
    reasons: dict[str, list[str]] = {}
    for kind, unit in units.items():
        if intervals[kind]["low"] is None and (clusters or kind != "clusters"):
            reasons.setdefault(intervals[kind]["reason"], []).append(unit)
    missing = "".join(
        f" There is none over {', nor over '.join(kinds)}: {reason}"
        for reason, kinds in reasons.items()
    )
    return (f"{lead} {', '.join(known)}." if known else f"{lead} not computed.") + missing


def _permutations(null: dict[str, Any]) -> str:
    if null["enumerated"]:
        return f"enumeration of {count(null['permutations'], 'possible relabeling')}"
    return count(null["permutations"], "random relabeling")


def clusters(layer: dict[str, Any]) -> Iterable[str]:
    """What is left of ρ within clusters, and with clusters taken out."""
    if not _has_clusters(layer):
        yield "The study has no clusters to test within or to take out."
        return
    null = layer["stratified_mantel_null"]
    if null is None:
        yield "No test within clusters was made: no cluster has two members."
    else:
        yield (
            f"Permuting within clusters only ({_permutations(null)}), p = "
            f"{p_value(layer['stratified_mantel_p'])}; the smallest possible is "
            f"{p_value(null['smallest_p'])}. {layer['stratified_power']['statement']}"
        )
    yield (
        f"With cluster membership partialled out, ρ = {number(layer['partial_fine'])} (fine "
        f"clusters) and {number(layer['partial_joint'])} (fine and macro clusters). Without pairs "
        f"of one cluster ρ = {number(layer['cluster_masked'])} "
        f"({count(layer['cluster_masked_n_pairs'], 'pair')}); with each cluster averaged "
        f"into one row ρ = {number(layer['cluster_collapsed'])} "
        f"({count(layer['cluster_collapsed_n_pairs'], 'pair')})."
    )


def covariates(layer: dict[str, Any]) -> Iterable[str]:
    """The partial Mantel test."""
    partial = layer["partial_mantel"]
    if partial:
        yield (
            f"Partial Mantel test given {', '.join(map(words, partial['covariates']))}: ρ = "
            f"{number(partial['spearman'])}, p = {p_value(partial['p'])}. {partial['caption']}"
        )


def radial(layer: dict[str, Any]) -> Iterable[str]:
    """What is left of ρ where some personas are far from all others."""
    r2 = layer["residual_mean_marginal_r2"]
    if None in r2.values():
        yield "How far personas are from all others was not taken out: a geometry does not vary."
        return
    yield (
        f"How far two personas are from all others explains {number(r2['cosine'])} of the variance "
        f"of cosine distances and {number(r2['js'])} of that of divergences. With that taken out, "
        f"ρ = {number(layer['residual_mean_marginal'])} "
        f"(p = {p_value(layer['residual_mean_marginal_p'])})."
    )
    if layer["with_anchor"]:
        yield (
            f"With the distances to the anchor taken out instead, ρ = "
            f"{number(layer['residual_anchor'])}."
        )


def prompts(alignment: dict[str, Any], layer: dict[str, Any]) -> Iterable[str]:
    """ρ over single prompts, halves of them, and shorter responses."""
    prompts = layer["per_prompt"]
    known = [rho for rho in prompts["values"].values() if rho is not None] if prompts else []
    lacking = counted("lacking", prompts["values"]) if prompts else 0
    others = (
        f" {count(lacking, 'other prompt')} {'has' if lacking == 1 else 'have'} no correlation."
        if lacking
        else ""
    )
    if len(known) == 1:
        yield f"Over its one prompt with a correlation ρ = {number(known[0], beside=0.5)}.{others}"
    elif known:
        above = counted("above_half", prompts["values"])
        there = counted("known", prompts["values"])
        yield (
            f"Over single prompts the median is ρ = {number(prompts['median'])} (interquartile "
            f"range {number(prompts['iqr'])}, from {number(prompts['min'], beside=0.5)} to "
            f"{number(prompts['max'], beside=0.5)}); {above} of "
            f"{count(there, 'prompt')} {'is' if above == 1 else 'are'} above 0.5.{others}"
        )
    else:
        yield f"The correlation over single prompts was {number(None)}."
    split = layer["split_prompts"]
    if split["different_prompts"] is not None:
        yield (
            f"With the cosine distances of one half of the prompts and the divergences of the "
            f"other, ρ = {number(split['different_prompts'])}; with those of the same half, "
            f"{number(split['same_prompts'])}. The split-half reliability is "
            f"{number(split['reliability']['cosine'])} for cosine distances and "
            f"{number(split['reliability']['js'])} for divergences"
            + (
                f": two measures so noisy of one geometry would reach "
                f"ρ = {number(split['ceiling'])}{_corrected(split['disattenuated'])}"
                if split["ceiling"] is not None
                else f". {split['reason']} ρ cannot be corrected for noise."
            )
        )
    crossvalidated = layer["crossvalidated_cosine"]
    if crossvalidated["spearman"] is not None:
        yield (
            f"With cosine distances cross-validated over prompts, "
            f"ρ = {number(crossvalidated['spearman'])} "
            f"(p = {p_value(crossvalidated['mantel_p'])})."
        )
    cutoffs = layer["cutoffs"]
    if cutoffs["ratio"]:
        parts = [
            f"ρ = {number(cutoffs[c])} over the first {count(c, 'token')}"
            + (f" ({number(ratio)} of the whole)" if ratio is not None else "")
            for c, ratio in cutoffs["ratio"].items()
        ]
        reasons = [
            reason for name, reason in layer["reasons"].items() if name.startswith("cutoffs.ratio.")
        ]
        because = f" No ratios to the whole are given: {reasons[0]}" if reasons else ""
        yield f"On shorter responses: {'; '.join(parts)}.{because}"


def _corrected(rho: float) -> str:
    """The correlation without noise, which an estimate may overshoot."""
    if abs(rho) <= 1:
        return f", and corrected for that noise ρ = {number(rho)}."
    return (
        f". Corrected for that noise ρ would be {number(rho, beside=1.0)}, which no correlation "
        f"can be: the reliabilities are too uncertain to correct by."
    )


def robustness(layer: dict[str, Any]) -> Iterable[str]:
    """ρ without single personas, and CKA."""
    left = layer["jackknife"]
    known = {name: rho for name, rho in left["values"].items() if rho is not None}
    if known:
        low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        yield (
            f"Leaving out one persona at a time, ρ has median {number(left['median'])}, "
            f"interquartile range {number(left['iqr'])}, and goes from {number(known[low])} "
            f"(without {low}) to {number(known[high])} (without {high})."
        )
    for name, rest in layer["leave_out"].items():
        joint = f"joint partial {number(rest['partial_joint'])}, " if _has_clusters(layer) else ""
        yield (
            f"Without {name}: ρ = {number(rest['spearman'])}, {joint}residual "
            f"{number(rest['residual_mean_marginal'])}."
        )
    cka = layer["cka"]
    if cka:
        yield (
            f"Exploratory: linear CKA of the centroids and the divergences is "
            f"{number(cka['linear'])}, debiased {number(cka['debiased'])}; with similarities for a "
            f"kernel {number(cka['kernel'])}."
        )


def _pairs(alignment: dict[str, Any], layer: dict[str, Any]) -> Iterable[str]:
    found_in = {frozenset(row["pair"]): row["n_layers"] for row in alignment["top_pair_stability"]}
    tables = {
        "top_residual_pairs": "Pairs that the radial covariate fits worst",
        "agreeing_pairs": "Pairs whose two ranks agree most",
        "disagreeing_pairs": "Pairs whose two ranks differ most",
    }
    for key, title in tables.items():
        rows = [
            f"| {row['pair'][0]}, {row['pair'][1]} | {words(row['relation'])} "
            f"| {number(row['cosine'], 4)} | {row['cosine_rank']:g} "
            f"| {number(row['js'], 4)} | {row['js_rank']:g} | {number(row['magnitude'], 2)} "
            f"| {claim('direction', row)} | {found_in.get(frozenset(row['pair']), 0)} |"
            for row in layer[key]
        ]
        if rows:
            yield (
                f"{title}:\n\n| pair | relation | cosine distance | rank | divergence | rank "
                f"| residual | deviation | layers in whose top |\n"
                f"|---|---|---|---|---|---|---|---|---|\n" + "\n".join(rows)
            )
    yield from _decoupling(layer["decoupling"])
    yield from prediction(layer)


def prediction(layer: dict[str, Any]) -> Iterable[str]:
    """Whether the pairs that were named in advance are among the top, and how each deviates."""
    predictions = layer["predictions"]
    if predictions:
        names = "; ".join(
            f"{row['pair'][0]} and {row['pair'][1]} ({'among' if row['in_top_k'] else 'not among'} "
            f"them; {claim('direction', row)})"
            for row in predictions["pairs"]
        )
        yield (
            f"The prediction that every named pair is among the "
            f"{count(predictions['top_k'], 'pair')} that the radial covariate fits worst "
            f"{claim('prediction', predictions)}" + (f": {names}." if names else ".")
        )


def _decoupling(found: dict[str, Any]) -> Iterable[str]:
    """Pairs by |z_js - z_cos|, called decoupled only where the two signs differ."""
    pairs = found["pairs"]
    if not pairs:
        return
    rows = [
        f"| {row['pair'][0]}, {row['pair'][1]} | {row['z_cos']:z.2f} | {row['z_js']:z.2f} "
        f"| {row['z_difference']:z.2f} | {claim('direction', row)} "
        f"| {number(row['share_in_top'], 2)} |"
        for row in pairs
    ]
    apart = sum(row["decoupled"] for row in pairs)
    stable = (
        f"The last column is the share of {count(found['resamples'], 'resample')} of the prompts "
        f"in which the pair is among the top {len(pairs)}."
        if found["resamples"]
        else f"How stable they are over prompts was not computed. {found['reason']}"
    )
    yield (
        "Largest differences between the two geometries beyond radial structure (residuals over "
        "their standard deviation; the divergence's less the cosine's is positive for a pair "
        "nearer in hidden states than in behavior):\n\n"
        "| pair | cosine | divergence | difference | deviation | in top |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(rows)
    )
    said = {0: "None of them is decoupled", 1: "1 of them is decoupled"}
    yield f"{said.get(apart, f'{apart} of them are decoupled')} (opposite signs). {stable}"


def outcomes(layer: dict[str, Any]) -> Iterable[str]:
    """Which of the two goes with directed outcomes."""
    outcomes = layer["outcomes"]
    if outcomes:
        difference = outcomes["difference"]
        yield (
            f"Of {count(outcomes['n_outcomes'], 'directed outcome')} among "
            f"{count(outcomes['n_personas'], 'persona')}, ρ with cosine distance is "
            f"{number(outcomes['cosine']['spearman'])} (95 % interval "
            f"{interval(outcomes['cosine'])}) and with divergence "
            f"{number(outcomes['js']['spearman'])} ({interval(outcomes['js'])}); the difference in "
            f"strength is {number(difference['value'])} ({interval(difference)}). "
            f"{claim('outcomes', outcomes)}"
        )


def _warnings(alignment: dict[str, Any]) -> Iterable[str]:
    if alignment["warnings"]:
        yield "## Warnings\n\n" + "\n".join(f"- {text}" for text in alignment["warnings"])
