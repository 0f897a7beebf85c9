"""What each part of a page says, in sentences made of sourced content."""

from collections.abc import Iterator, Mapping
from typing import Any

from persona_geometry.report import further, summary
from persona_geometry.report.claims import claim, doubts
from persona_geometry.report.counts import counted
from persona_geometry.report.sourced import plain
from persona_geometry.report.text import count, interval, number, p_value, words
from persona_geometry.rsa.intervals import widest

STATISTICS = {
    "spearman": "ρ, nothing taken out",
    "partial_fine": "fine clusters partialled out",
    "partial_joint": "fine and macro clusters partialled out",
    "cluster_masked": "pairs of one cluster left out",
    "cluster_collapsed": "each cluster averaged into one row",
    "residual_mean_marginal": "mean distance to all others taken out",
    "residual_anchor": "distance to the anchor taken out",
}
"""The seven statistics that each answer one confound, as a table's rows name them."""

OVER = {"dual": "prompts and personas", "personas": "personas"}
"""What intervals are over, in words."""


def told_interval(intervals: Mapping[str, Any]) -> str:
    """The widest interval that there is, and what it is over."""
    found = widest(intervals)
    if found["low"] is None:
        return interval(found)
    return f"{interval(found)} over {OVER[found['over']]}"


def headline(alignment: Mapping[str, Any]) -> Any:
    """The statistics of the headline layer."""
    return alignment["layers"][str(int(alignment["headline_layer"]))]


def answer(alignment: Any, model: str, divergence: str) -> Iterator[str]:
    """Question and answer in three sentences.

    Args:
        alignment: sourced content of alignment.json.
        model: what the model is called; empty where none was run.
        divergence: what the divergences are called.
    """
    layer, n = headline(alignment), alignment["headline_layer"]
    prompts = alignment["n_prompts"]
    over = f", {count(prompts, 'prompt')}" if prompts else ""
    yield (
        f"Do the personas of {model or 'a language model'} that lie near each other in hidden "
        f"states also behave alike, over {count(alignment['n_personas'], 'persona')}{over} and "
        f"{count(alignment['n_pairs'], 'pair')}?"
    )
    yield (
        f"At layer {n}, chosen in advance, cosine distances and the {divergence} "
        f"{claim('agreement', layer)}: ρ = {number(layer['spearman'])} (95 % interval "
        f"{told_interval(layer['intervals'])}; one-sided Mantel p = {p_value(layer['mantel_p'])})."
    )
    yield (
        f"Agreement within clusters {claim('within_clusters', layer)}; agreement beyond radial "
        f"structure {claim('beyond_radial', layer)}."
    )


def reasons(alignment: Any) -> list[str]:
    """What the confidence of a result rests on."""
    layer = headline(alignment)
    found = layer["intervals"]
    told = {
        "interval": f"the 95 % interval of ρ ({told_interval(found)}) does not lie above zero"
        if widest(found)["low"] is not None
        else "ρ has no interval",
        "clusters": f"agreement within clusters {claim('within_clusters', layer)}",
        "radial": f"agreement beyond radial structure {claim('beyond_radial', layer)}",
        "prediction": f"the prediction of named pairs {claim('prediction', layer['predictions'])}"
        if layer["predictions"]
        else "",
        "gates": "no gate was evaluated",
        "prompts": "fewer than two prompts were measured",
    }
    doubted = [told[doubt] for doubt in doubts(plain(alignment))]
    return [f"the two geometries {claim('agreement', layer)} at the headline layer", *doubted]


def agreement(alignment: Any) -> Iterator[str]:
    """Result 1 in sentences, beside its tables."""
    layer = headline(alignment)
    peak = alignment["across_layers"]["peak"]
    if peak["layer"] is not None:
        yield (
            f"Among {count(counted('entries', alignment['layer_curve']), 'known layer')}, ρ is "
            f"largest at layer {peak['layer']} ({number(peak['spearman'])}); "
            + (
                f"{count(counted('entries', peak['confidence_set']), 'layer')} may be the best, by "
                f"a 95 % confidence set over personas."
                if peak["confidence_set"]
                else f"which others may be the best is not known. {peak['reason']}"
            )
        )
    yield summary.noise_ceiling(alignment)
    yield from summary.mantel(layer)
    yield from further.many_tests(alignment, layer)
    yield from further.equality(alignment, layer)
    yield from summary.prompts(alignment, layer)
    yield from further.comparators(layer)


def confounds(alignment: Any) -> Iterator[str]:
    """Result 2 in sentences, beside its table."""
    layer = headline(alignment)
    yield from summary.clusters(layer)
    yield from summary.covariates(layer)
    yield from summary.radial(layer)
    yield from further.explained(layer)
    yield from summary.robustness(layer)


def decoupling(alignment: Any) -> Iterator[str]:
    """Result 3 in sentences, beside its tables."""
    layer = headline(alignment)
    found = layer["decoupling"]
    if found["pairs"]:
        yield (
            f"Of the {count(counted('entries', found['pairs']), 'pair')} in which the two "
            f"geometries part most beyond radial structure, {counted('decoupled', found['pairs'])} "
            f"deviate in opposite directions."
        )
        if not found["resamples"]:
            yield f"How stable they are over prompts was not computed. {found['reason']}"
    yield from summary.prediction(layer)
    yield from summary.outcomes(layer)
    yield from further.asymmetry(alignment)


def caveats(alignment: Any, study: Any, run: Any, responses: Any) -> Iterator[str]:
    """What a reader must know before the result is used, each computed from the data."""
    layer, settings = headline(alignment), study["settings"]
    if alignment["n_prompts"] is None:
        yield (
            "The divergences were read from a file: what they are and how they were measured is "
            "not known here."
        )
    elif alignment["n_prompts"] == 1:
        yield "There is a single prompt: nothing here speaks for others."
    else:
        yield (
            f"There is one set of {count(alignment['n_prompts'], 'prompt')}: other prompts were "
            f"not tried, but for the intervals over prompts."
        )
    if study["needs_model"]:
        yield (
            "There is one model, and one greedy response to a prompt, generated under one system "
            "prompt."
        )
    if responses:
        cut = counted("cut", responses)
        if cut:
            yield (
                f"{cut} of {count(counted('entries', responses), 'response')} reached the limit of "
                f"{count(settings['generation']['max_new_tokens'], 'token')} and were cut."
            )
    if "intervention" in settings:
        yield (
            "A direction was taken out of the hidden states: nothing here is of the model as it is."
        )
    if run["model"] and run["model"].get("quantised"):
        yield "The model's weights are quantised."
    widely = widest(layer["intervals"])
    if widely["low"] is not None and widely["low"] <= 0:
        yield (
            f"The 95 % interval of ρ over {OVER[widely['over']]} reaches down to "
            f"{number(widely['low'])}: other personas may well give none."
        )
    if layer["stratified_power"]:
        yield f"{layer['stratified_power']['statement']}"
    else:
        yield "No persona shares a cluster with another, so clusters as a confound were not tested."
    ceiling = alignment["noise_ceiling"]
    if ceiling["rho_ceiling"] is not None:
        yield (
            f"Noise of prompts bounds ρ by {number(ceiling['rho_ceiling'])}, if cosine distances "
            f"have none."
        )
    left = layer["jackknife"]["values"]
    known = {name: rho for name, rho in left.items() if rho is not None}
    if known and layer["spearman"] is not None:
        most = max(known, key=lambda name: abs(known[name] - layer["spearman"]))
        yield (
            f"One persona moves ρ the most: without {words(most)} it is {number(known[most])}, "
            f"with all {number(layer['spearman'])}."
        )
    if len(alignment["layer_curve"]) > 1:
        yield (
            f"Layer {alignment['headline_layer']} was chosen in advance; every other layer is "
            f"exploratory, and only family-wise p account for their number."
        )
    if run["repository"]["changed"]:
        yield "The workflow's files differed from the commit that is named below."
    for warning in alignment["warnings"]:
        yield f"{warning}"
