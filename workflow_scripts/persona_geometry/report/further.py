"""What the summary says beyond agreement: many tests, equality, other measures, explanations.

Each part is silent where the study did not ask for it.
"""

from collections.abc import Iterable
from typing import Any

from persona_geometry.report.claims import claim
from persona_geometry.report.counts import counted
from persona_geometry.report.sourced import listed
from persona_geometry.report.text import count, interval, number, p_value, words
from persona_geometry.rsa.significance import LEVEL, significant


def many_tests(alignment: dict[str, Any], layer: dict[str, Any]) -> Iterable[str]:
    """What is left of single p-values when there are many."""
    if layer["mantel_p_two_sided"] is not None:
        yield f"The two-sided Mantel p is {p_value(layer['mantel_p_two_sided'])}."
    smallest = layer["mantel_null"]["smallest_p"]
    if not significant(smallest):
        yield (
            f"Corrected for many tests, nothing can be told, whatever the data: with so few "
            f"personas no p can be below {p_value(smallest)}."
        )
        return
    curve, prompts = alignment["layer_curve"], layer["per_prompt"]
    # What is tested, where its p-values are, and what kinds of counts take them.
    families = [("known layer", curve, curve, "step_down_", "fdr_")]
    if prompts:
        families.append(("prompt", prompts["step_down_p"], prompts["fdr_q"], "", ""))
    found = [
        f"{counted(f'{of_step}at_level', step)} of "
        f"{count(counted(f'{of_step}known', step), noun)} by step-down max-T and "
        f"{counted(f'{of_fdr}at_level', fdr)} at a false discovery rate of {LEVEL}"
        for noun, step, fdr, of_step, of_fdr in families
        if counted(f"{of_step}known", step)
    ]
    if found:
        yield (
            f"Corrected for many tests at {LEVEL}, agreement is found at {'; for '.join(found)}; "
            f"no p could have been below {p_value(smallest)}."
        )
    for noun, step, _, of_step, _ in families:
        if lacking := counted(f"{of_step}lacking", step):
            yield (
                f"{count(lacking, noun)} of {counted('entries', step)} "
                f"{'has' if lacking == 1 else 'have'} no correlation to test."
            )


def equality(alignment: dict[str, Any], layer: dict[str, Any]) -> Iterable[str]:
    """What equivalence tests found, of ρ and of differences between layers."""
    found = layer["equivalence"]
    if not found:
        return
    smallest = number(found["smallest_effect"])
    said = claim("equivalence", found)
    yield f"{said}." if found["p"] is None else f"{said} (equivalence p = {p_value(found['p'])})."
    rows = alignment["across_layers"]["contrasts"]
    for verdict, text in (
        ("equivalent", f"Layers whose ρ are equal, within {smallest}"),
        ("beyond", f"Layers whose ρ lie more than {smallest} apart"),
    ):
        pairs = [
            listed(row["layers"], " and ")
            for row in rows
            if row["equivalence"] and row["equivalence"]["verdict"] == verdict
        ]
        if pairs:
            yield f"{text}: {'; '.join(pairs)}."


def other_geometries(alignment: dict[str, Any], headline: str) -> Iterable[str]:
    """Each other geometry beside the main one."""
    rows = []
    for name, layers in alignment["geometries"].items():
        of = layers[headline]
        rows.append(
            f"| {words(name)} | {number(of['spearman'])} | {interval(of['interval'])} "
            f"| {p_value(of['mantel_p'])} | {number(of['difference']['value'])} "
            f"| {interval(of['difference'])} |"
        )
    if rows:
        yield (
            "Other geometries, with 95 % intervals over personas, and ρ less that of the main "
            "one:\n\n| geometry | ρ | interval | Mantel p | difference | interval |\n"
            "|---|---|---|---|---|---|\n" + "\n".join(rows)
        )


def comparators(layer: dict[str, Any]) -> Iterable[str]:
    """The other comparators, in one sentence."""
    found = layer["comparators"]
    if not found:
        return
    white, unbiased = found["whitened_cosine"], found["whitened_unbiased_cosine"]
    values = {
        "ρ-a": found["rho_a"],
        "τ-a": found["tau_a"],
        "the whitened cosine": white["value"],
        "the whitened unbiased cosine": unbiased["value"],
    }
    p = {"the whitened cosine": white, "the whitened unbiased cosine": unbiased}
    said = [
        f"{name} is {number(value)}"
        + (f" (p = {p_value(p[name]['mantel_p'])})" if name in p else "")
        for name, value in values.items()
        if value is not None
    ]
    if said:
        yield f"By other comparators: {', '.join(said)}."


def explained(layer: dict[str, Any]) -> Iterable[str]:
    """How much of the divergences each predictor explains, and how much of it alone."""
    found = layer["commonality"]
    if found["r2"] is None:
        if found["reason"]:
            yield f"No predictors of the divergences were compared. {found['reason']}"
        return
    names = {
        "cosine": "cosine distance",
        "clusters": "clusters",
        "radial": found["radial_is"],
        "lexical": "words that system prompts share",
    }
    there = {name: alone for name, alone in found["alone"].items() if alone is not None}
    if len(there) == 1:
        yield (
            f"Of the ranks of divergences, {names[next(iter(there))]} explains "
            f"R² = {number(found['r2'])}. There is no other predictor."
        )
        return
    parts = [
        f"{names[name]} {number(alone)} ({number(found['unique'][name])} on its own account)"
        for name, alone in there.items()
    ]
    known = count(counted("known", found["alone"]), "predictor")
    text = (
        f"Together, {known} explain R² = {number(found['r2'])} of the "
        f"ranks of divergences ({number(found['r2_adjusted'])} adjusted for their number): "
        f"{', '.join(parts)}."
    )
    alone, unique = found["alone"]["cosine"], found["unique"]["cosine"]
    if alone and unique < alone / 2:
        text += " More than half of the share of cosine distance is that of others too."
    yield text


def asymmetry(alignment: dict[str, Any]) -> Iterable[str]:
    """Whether the direction of KL goes with that of the outcomes."""
    found = alignment["kl_asymmetry"]
    if found and found["spearman"] is not None:
        yield (
            f"Over {count(found['n_pairs'], 'pair')} with outcomes in both directions, ρ of the "
            f"asymmetric part of KL ({number(found['share'])} of its squares) with that of the "
            f"outcomes is {number(found['spearman'])} (95 % interval {interval(found)}, two-sided "
            f"p = {p_value(found['p_two_sided'])})."
        )
    elif found:
        yield f"The asymmetric parts of KL and outcomes were not compared: {found['reason']}"
