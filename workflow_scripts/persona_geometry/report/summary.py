"""alignment.json in sentences. Every number is read from it."""

from collections.abc import Iterable
from typing import Any

from persona_geometry.report import further
from persona_geometry.report.text import DIVERGENCES, count, interval, number, words

STATUS = {"pass": "pass", "fail": "**fail**", "not_evaluated": "not evaluated"}


def summarize(alignment: dict[str, Any]) -> str:
    """The summary as Markdown: gates first, then what stands behind them.

    Args:
        alignment: the content of alignment.json.
    """
    headline = str(alignment["headline_layer"])
    layer = alignment["layers"][headline]
    parts = [
        f"# Study {alignment['study']}",
        _verdict(alignment),
        _gates(alignment),
        "## Agreement by layer",
        _by_layer(alignment),
        *_between_layers(alignment),
        f"## Layer {headline}",
        *_mantel(layer),
        *further.many_tests(alignment, layer),
        *further.equality(alignment, layer),
        *further.other_geometries(alignment, headline),
        *further.comparators(layer),
        *_clusters(layer),
        *_covariates(layer),
        *_radial(layer),
        *further.explained(layer),
        *_prompts(alignment, layer),
        *_robustness(layer),
        "## Pairs",
        *_pairs(alignment, layer),
        *_outcomes(layer),
        *further.asymmetry(alignment),
        *_warnings(alignment),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdict(alignment: dict[str, Any]) -> str:
    passed = alignment["all_gates_pass"]
    outcome = {
        True: "All gates pass.",
        False: "Not all gates pass.",
        None: "The study sets no gates.",
    }[passed]
    prompts = alignment["n_prompts"]
    over = f" and {count(prompts, 'prompt')}" if prompts else ""
    return (
        f"**{outcome}** The cosine distances of "
        f"{count(alignment['n_personas'], 'persona')} "
        f"({count(alignment['n_pairs'], 'pair')}{over}) were compared with the "
        f"{DIVERGENCES[alignment['estimator']]} of their next-token distributions."
    )


def _gates(alignment: dict[str, Any]) -> str:
    if not alignment["gates"]:
        return ""
    rows = [
        f"| {gate['layer']} | {gate['statistic']} | {gate['comparison']} {gate['threshold']:g} "
        f"| {number(gate['value'])} | {STATUS[gate['status']]} |"
        for gate in alignment["gates"]
    ]
    return "| layer | statistic | gate | value | status |\n|---|---|---|---|---|\n" + "\n".join(
        rows
    )


def _by_layer(alignment: dict[str, Any]) -> str:
    ceiling = alignment["noise_ceiling"]
    rows = [
        "| layer | ρ | 95 % interval | Mantel p | family-wise p | stratified p | joint partial "
        "| residual |\n|---|---|---|---|---|---|---|---|"
    ]
    family = alignment["across_layers"]["family_wise_p"]
    for name, layer in alignment["layers"].items():
        rows.append(
            f"| {name} | {number(layer['spearman'])} | {interval(layer['intervals']['dual'])} "
            f"| {number(layer['mantel_p'])} "
            f"| {number(family[name])} | {number(layer['stratified_mantel_p'])} "
            f"| {number(layer['partial_joint'])} | {number(layer['residual_mean_marginal'])} |"
        )
    text = "\n".join(rows)
    text += (
        f"\n\nPrompts and personas are both taken for samples. The divergences' noise ceiling "
        f"is ρ = {number(ceiling and ceiling['rho_ceiling'])}"
    )
    if ceiling:
        text += (
            f" (split-half reliability {number(ceiling['reliability'])} over "
            f"{count(ceiling['splits'], 'split')} of the prompts)"
        )
    text += "."
    return text


def _between_layers(alignment: dict[str, Any]) -> Iterable[str]:
    peak, known = alignment["across_layers"]["peak"], len(alignment["layer_curve"])
    if peak["layer"] is not None:
        kept = peak["confidence_set"]
        others = (
            f"The 95 % confidence set of the best layer, personas taken for a sample, holds "
            f"{count(len(kept), 'layer')}: {', '.join(map(str, kept))}."
            if kept
            else f"A confidence set of the best layer was not computed: {peak['reason']}"
        )
        yield (
            f"Among {count(known, 'known layer')}, ρ is largest at layer {peak['layer']} "
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


def _mantel(layer: dict[str, Any]) -> Iterable[str]:
    null = layer["mantel_null"]
    yield (
        f"Spearman's correlation is ρ = {number(layer['spearman'])}. Under "
        f"{_permutations(null)}, the null distribution has mean {number(null['mean'])} and "
        f"standard deviation {number(null['sd'])}; the one-sided Mantel p is "
        f"{number(layer['mantel_p'])}, and could not have been below {number(null['smallest_p'])}."
    )
    intervals, resampled = layer["intervals"], layer["bootstrap"] or {}
    clusters = intervals["clusters"]
    yield (
        f"Its 95 % interval is {interval(intervals['prompts'])} over prompts, "
        f"{interval(intervals['personas'])} over personas and {interval(intervals['dual'])} over "
        f"both (jackknife). "
        + (f"Over new clusters it is {interval(clusters)}. " if not clusters["reason"] else "")
        + f"The bootstrap gives {interval(resampled.get('prompts'))}, "
        f"{interval(resampled.get('personas'))} and {interval(resampled.get('dual'))}."
    )
    spread = layer["dispersion"]
    yield (
        f"Cosine distances go from {number(spread['min'], 4)} to {number(spread['max'], 4)}, with "
        f"mean {number(spread['mean'], 4)} and standard deviation {number(spread['sd'], 4)}; the "
        f"standard deviation of the widest configured layer is "
        f"{number(spread['ratio_to_widest'], 1)} times that."
    )
    anchored = layer["with_anchor"]
    if anchored:
        yield (
            f"With the anchor ({count(anchored['n_pairs'], 'pair')}) "
            f"ρ = {number(anchored['spearman'])}, p = {number(anchored['mantel_p'])}."
        )


def _permutations(null: dict[str, Any]) -> str:
    if null["enumerated"]:
        return f"enumeration of {count(null['permutations'], 'possible relabeling')}"
    return count(null["permutations"], "random relabeling")


def _clusters(layer: dict[str, Any]) -> Iterable[str]:
    null = layer["stratified_mantel_null"]
    if null is None:
        yield "No test within clusters was made: no cluster has two members."
    else:
        yield (
            f"Permuting within clusters only ({_permutations(null)}), p = "
            f"{number(layer['stratified_mantel_p'])}; the smallest possible is "
            f"{number(null['smallest_p'])}. {layer['stratified_power']['statement']}"
        )
    yield (
        f"With cluster membership partialled out, ρ = {number(layer['partial_fine'])} (fine "
        f"clusters) and {number(layer['partial_joint'])} (fine and macro clusters). Without pairs "
        f"of one cluster ρ = {number(layer['cluster_masked'])} "
        f"({count(layer['cluster_masked_n_pairs'], 'pair')}); with each cluster averaged "
        f"into one row ρ = {number(layer['cluster_collapsed'])} "
        f"({count(layer['cluster_collapsed_n_pairs'], 'pair')})."
    )


def _covariates(layer: dict[str, Any]) -> Iterable[str]:
    partial = layer["partial_mantel"]
    if partial:
        yield (
            f"Partial Mantel test given {', '.join(map(words, partial['covariates']))}: ρ = "
            f"{number(partial['spearman'])}, p = {number(partial['p'])}. {partial['caption']}"
        )


def _radial(layer: dict[str, Any]) -> Iterable[str]:
    r2 = layer["residual_mean_marginal_r2"]
    yield (
        f"How far two personas are from all others explains {number(r2['cosine'])} of the variance "
        f"of cosine distances and {number(r2['js'])} of that of divergences. With that taken out, "
        f"ρ = {number(layer['residual_mean_marginal'])} "
        f"(p = {number(layer['residual_mean_marginal_p'])})."
    )
    yield (
        f"With the distances to the anchor taken out instead, ρ = "
        f"{number(layer['residual_anchor'])}."
    )


def _prompts(alignment: dict[str, Any], layer: dict[str, Any]) -> Iterable[str]:
    prompts = layer["per_prompt"]
    if prompts and prompts["median"] is not None:
        yield (
            f"Over single prompts the median is ρ = {number(prompts['median'])} (interquartile "
            f"range {number(prompts['iqr'])}, from {number(prompts['min'])} to "
            f"{number(prompts['max'])}); "
            f"{100 * prompts['share_above_0.5']:.0f} % of "
            f"{count(alignment['n_prompts'], 'prompt')} are above 0.5."
        )
    else:
        yield f"The correlation over single prompts was {number(None)}."
    split = layer["split_prompts"]
    if split:
        yield (
            f"With the cosine distances of one half of the prompts and the divergences of the "
            f"other, ρ = {number(split['different_prompts'])}; with those of the same half, "
            f"{number(split['same_prompts'])}. The split-half reliability is "
            f"{number(split['reliability']['cosine'])} for cosine distances and "
            f"{number(split['reliability']['js'])} for divergences"
            + (
                f": two measures so noisy of one geometry would reach "
                f"ρ = {number(split['ceiling'])}, and corrected for that noise "
                f"ρ = {number(split['disattenuated'])}."
                if split["ceiling"] is not None
                else "; without positive ones, ρ cannot be corrected for noise."
            )
        )
    crossvalidated = layer["crossvalidated_cosine"]
    if crossvalidated["spearman"] is not None:
        yield (
            f"With cosine distances cross-validated over prompts, "
            f"ρ = {number(crossvalidated['spearman'])} "
            f"(p = {number(crossvalidated['mantel_p'])})."
        )
    cutoffs = layer["cutoffs"]
    if cutoffs["ratio"]:
        parts = [
            f"ρ = {number(cutoffs[c])} over the first {count(int(c), 'token')} "
            f"({number(ratio)} of the whole)"
            for c, ratio in cutoffs["ratio"].items()
        ]
        yield f"On shorter responses: {'; '.join(parts)}."


def _robustness(layer: dict[str, Any]) -> Iterable[str]:
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
        yield (
            f"Without {name}: ρ = {number(rest['spearman'])}, joint partial "
            f"{number(rest['partial_joint'])}, residual {number(rest['residual_mean_marginal'])}."
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
            f"| {found_in.get(frozenset(row['pair']), 0)} |"
            for row in layer[key]
        ]
        if rows:
            yield (
                f"{title}:\n\n| pair | relation | cosine distance | rank | divergence | rank "
                f"| residual | layers in whose top |\n|---|---|---|---|---|---|---|---|\n"
                + "\n".join(rows)
            )
    predictions = layer["predictions"]
    if predictions:
        held = predictions["all_in_top_k"]
        names = "; ".join(
            f"{row['pair'][0]} and {row['pair'][1]} ({'in' if row['in_top_k'] else 'not in'} it)"
            for row in predictions["pairs"]
        )
        verdict = {True: "holds", False: "does not hold", None: "was not evaluated"}[held]
        yield (
            f"The prediction that the top {predictions['top_k']} contain every named pair "
            f"{verdict}: {names}."
        )


def _outcomes(layer: dict[str, Any]) -> Iterable[str]:
    outcomes = layer["outcomes"]
    if outcomes:
        difference = outcomes["difference"]
        stronger = {
            "js": "The divergence predicts them better.",
            "cosine": "The cosine distance predicts them better.",
            "undecided": "Which of the two predicts them better is undecided.",
            "equal": "The two predict them equally well, within the smallest effect of interest.",
            None: "Which of the two predicts them better was not evaluated.",
        }
        yield (
            f"Of {count(outcomes['n_outcomes'], 'directed outcome')} among "
            f"{count(outcomes['n_personas'], 'persona')}, ρ with cosine distance is "
            f"{number(outcomes['cosine']['spearman'])} (95 % interval "
            f"{interval(outcomes['cosine'])}) and with divergence "
            f"{number(outcomes['js']['spearman'])} ({interval(outcomes['js'])}); the difference in "
            f"strength is {number(difference['value'])} ({interval(difference)}). "
            f"{stronger[outcomes['stronger']]}"
        )


def _warnings(alignment: dict[str, Any]) -> Iterable[str]:
    if alignment["warnings"]:
        yield "## Warnings\n\n" + "\n".join(f"- {text}" for text in alignment["warnings"])
