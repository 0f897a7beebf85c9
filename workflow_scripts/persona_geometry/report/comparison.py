"""comparison.json in sentences. Every number is read from it."""

from collections.abc import Iterable
from typing import Any

from persona_geometry.report.claims import claim
from persona_geometry.report.counts import counted
from persona_geometry.report.text import count, interval, number, p_value, table, words
from persona_geometry.rsa.intervals import widest

SIGN = {"held": "held", "partly held": "**partly held**", "failed": "**failed**"}
VIEWS = {
    "prompts_held_out": "Prompts held out (the same model, other prompts)",
    "model_held_out": "Model held out (another model, the same prompts)",
    "both_held_out": "Both held out (another model, other prompts)",
    "repeated": "Measured again (the same model and prompts)",
}


def describe_comparison(comparison: dict[str, Any]) -> str:
    """The comparison as Markdown: verdicts first, then what stands behind them.

    Args:
        comparison: the content of comparison.json.
    """
    parts = [
        f"# Comparison {comparison['comparison']}",
        *(_verdict(one) for one in comparison["verdicts"]),
        "## The studies",
        _studies(comparison),
        *_views(comparison),
        "## Agreement by depth",
        *_by_depth(comparison),
        *_published(comparison),
        "## Between the studies",
        *(part for pair in comparison["pairs"] for part in _pair(pair)),
        *_gates(comparison),
        *_remarks(comparison),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


BOUND = {"difference": "within ±", "gates": "at least"}


def _verdict(found: dict[str, Any]) -> str:
    said = SIGN.get(found["verdict"], "**cannot tell**")
    rows = [
        [
            one["criterion"].replace("_", " "),
            f"{BOUND.get(one['criterion'], 'above')} {one['threshold']:g}",
            number(one["value"], beside=one["threshold"]),
            interval(one),
            one["outcome"] + (f": {one['reason']}" if one["reason"] else ""),
        ]
        for one in found["criteria"]
    ]
    return (
        f"{found['replication']} as a replication of {found['original']}: {said}. "
        f"{found['reason']} The rule was fixed in the config.\n\n"
        + table(["criterion", "threshold", "value", "95 % interval", "outcome"], rows)
    )


def _studies(comparison: dict[str, Any]) -> str:
    rows = [
        [
            name + (" (original)" if name == comparison["original"] else ""),
            one["model"],
            "not known" if one["n_layers"] is None else str(one["n_layers"]),
            str(one["n_personas"]),
            "from a file" if one["n_prompts"] is None else str(one["n_prompts"]),
            str(one["headline_layer"]),
        ]
        for name, one in comparison["studies"].items()
    ]
    header = ["study", "model", "layers", "personas", "prompts", "headline layer"]
    shared = comparison["personas"]
    by = "name" if comparison["match"] == "name" else "system prompt"
    return table(header, rows) + (
        f"\n\nPersonas are matched by {by}; all measured studies share {len(shared)}."
        if shared
        else f"\n\nPersonas are matched by {by}; too few are shared by all measured studies."
    )


def _views(comparison: dict[str, Any]) -> Iterable[str]:
    lines = [
        f"- {said}: {'; '.join(' and '.join(pair) for pair in comparison['views'][view])}."
        for view, said in VIEWS.items()
        if comparison["views"][view]
    ]
    yield "\n".join(lines)


def _by_depth(comparison: dict[str, Any]) -> Iterable[str]:
    original = comparison["original"]
    pairs = [pair for pair in comparison["pairs"] if pair["studies"][0] == original]
    rows = []
    for place, first in enumerate(pairs[0]["layers"]) if pairs and pairs[0]["layers"] else ():
        layer = first["layers"][0]
        curve = {point["layer"]: point for point in comparison["studies"][original]["curve"]}
        cells = [f"{number(first['depths'][0])}", f"{layer}", number(curve[layer]["spearman"])]
        for pair in pairs:
            at = pair["layers"][place] if pair["layers"] else None
            cells.append(_counterpart(comparison, pair["studies"][1], at))
        rows.append(cells)
    if rows:
        names = [pair["studies"][1] for pair in pairs]
        yield table(["depth", f"layer of {original}", f"ρ of {original}", *names], rows)
        yield (
            "ρ is that of each study's own personas. A layer stands beside the nearest one of "
            "another study by relative depth (layer over number of layers), at most half a layer "
            "of the shallower model away."
        )


def _counterpart(comparison: dict[str, Any], study: str, at: dict[str, Any] | None) -> str:
    if at is None or at["layers"][1] is None:
        return "no counterpart"
    layer = at["layers"][1]
    curve = {point["layer"]: point for point in comparison["studies"][study]["curve"]}
    return f"{number(curve[layer]['spearman'])} (layer {layer})"


def _published(comparison: dict[str, Any]) -> Iterable[str]:
    for found in comparison["published"]:
        names = list(found["rows"][0]["measured"])
        rows = [
            [
                str(row["layer"]),
                row["statistic"],
                row["said"] or _plain(row["published"]),
                *(
                    "–"
                    if row["measured"][name]["value"] is None
                    else f"{_plain(row['measured'][name]['value'])} "
                    f"(layer {row['measured'][name]['layer']})"
                    for name in names
                ),
            ]
            for row in found["rows"]
        ]
        yield "## Published against measured"
        yield table(["layer", "statistic", "published", *names], rows)
        pairs = [
            [
                str(row["layer"]),
                " and ".join(map(words, row["pair"])),
                f"{row['rank']} ({row['magnitude']:.2f})",
                *(_in_top(row["in_top"][name]) for name in names),
            ]
            for row in found["top_pairs"]
        ]
        yield "Pairs that deviate most from their radial structure, and whether they do here too:"
        yield table(["layer", "pair", "published rank (magnitude)", *names], pairs)
        remarks = comparison["studies"][found["study"]]["remarks"]
        yield "\n".join([f"- {found['source']}", *(f"- {remark}" for remark in remarks)])


def _plain(value: float) -> str:
    """A statistic, or a number of pairs without decimals."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else number(value)


def _in_top(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{'among' if found['found'] else 'not among'} the top (layer {found['layer']})"


def _pair(pair: dict[str, Any]) -> Iterable[str]:
    first, second = pair["studies"]
    yield f"### {first} and {second}"
    kind = pair["kind"]
    said = f"From the first to the second: {kind['words']}."
    if kind["differing"]:
        said += f" Their configs differ in {', '.join(kind['differing'])}."
    if pair["n_personas"] is not None:
        said += f" They share {count(pair['n_personas'], 'persona')}."
    if pair["reason"]:
        said += f" {pair['reason']}"
    yield said
    if pair["divergence"]:
        yield second_order("Their divergences", pair["divergence"])
        yield best_layers(pair)
    rows, reasons = [], []
    for at in pair["layers"]:
        if at["reason"]:
            reasons.append(f"- Layer {at['layers'][0]} of {first}: {at['reason']}")
            continue
        change, cosine, decoupling = at["difference"], at["cosine"], at["decoupling"]
        if change and not pair["reason"]:
            lacking = dict.fromkeys(change[over]["reason"] for over in ("personas", "prompts"))
            at_layers = f"- Layers {at['layers'][0]} and {at['layers'][1]}"
            reasons += [f"{at_layers}: {reason}" for reason in lacking if reason]
        rows.append(
            [
                f"{at['layers'][0]} and {at['layers'][1]}",
                *(number(rho) for rho in at["spearman"]),
                number(change["value"]) if change else "not computed",
                interval(change["personas"]) if change else "not computed",
                interval(change["dual"]) if change else "not computed",
                f"{number(cosine['spearman'])} ({interval(widest(cosine))})" if cosine else "–",
                _decoupling(decoupling),
            ]
        )
    if rows:
        header = [
            *("layers", f"ρ of {first}", f"ρ of {second}", "Δρ", "over personas"),
            *("and prompts", "cosine against cosine", "decoupled pairs"),
        ]
        yield table(header, rows)
    yield "\n".join(reasons)


def second_order(what: str, found: dict[str, Any]) -> str:
    """The correlation of two studies' distances, with its test and intervals."""
    parts = [
        f"{interval(found[kind])} over {over}"
        for kind, over in (
            ("personas", "personas"),
            ("prompts", "prompts"),
            ("dual", "both"),
        )
        if found[kind]["low"] is not None
    ]
    text = (
        f"{what} {claim('correlates', found)}: ρ = {number(found['spearman'])} (one-sided p = "
        f"{p_value(found['p'])})"
    )
    text += f"; its 95 % interval is {', '.join(parts)}." if parts else "."
    reasons = dict.fromkeys(found[kind]["reason"] for kind in ("personas", "prompts"))
    return " ".join([text, *(f"{reason}" for reason in reasons if reason)])


def best_layers(pair: dict[str, Any]) -> str:
    """The two layers whose cosine distances are most alike."""
    cosine = pair["cosine"]
    known = [
        (rho, i, j)
        for i, row in enumerate(cosine["spearman"])
        for j, rho in enumerate(row)
        if rho is not None
    ]
    if not known:
        return "No two layers have a correlation of their cosine distances."
    rho, i, j = max(known)
    p = cosine["family_wise_p"][i][j]
    return (
        f"Over {count(counted('cells_known', cosine['spearman']), 'pair')} of layers, ρ of cosine "
        f"distances is largest at layers {cosine['layers'][0][i]} and {cosine['layers'][1][j]} "
        f"({number(rho)}, family-wise p = {p_value(p)}); its family-wise p is at most 0.05 at "
        f"{counted('cells_at_level', cosine['family_wise_p']):,}."
    )


def _decoupling(found: dict[str, Any] | None) -> str:
    if not found or found["spearman"] is None:
        return "–"
    text = f"ρ = {number(found['spearman'])} ({interval(found['interval'])})"
    if found["overlap"] is None:
        return text
    return (
        f"{text}; {found['overlap']} of the top {found['top_k']} in common, "
        f"{number(found['expected'], 1)} by chance"
    )


def _gates(comparison: dict[str, Any]) -> Iterable[str]:
    names = list(comparison["studies"])
    rows = [
        [
            f"{gate['statistic']} {gate['comparison']} {gate['threshold']:g}",
            gate["at"],
            *(_outcome(gate, gate["studies"].get(name)) for name in names),
        ]
        for gate in comparison["gates"]
    ]
    if rows:
        yield "## Gates"
        yield table(["gate", "at", *names], rows)


def _outcome(gate: dict[str, Any], found: dict[str, Any] | None) -> str:
    if not found:
        return "no such gate"
    status = found["status"].replace("_", " ")
    return f"{number(found['value'], beside=gate['threshold'])}: {status}"


def _remarks(comparison: dict[str, Any]) -> Iterable[str]:
    if comparison["remarks"]:
        yield "## To be kept in mind"
        yield "\n".join(f"- {remark}" for remark in comparison["remarks"])
