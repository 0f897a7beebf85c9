"""probe.json in sentences. Every number is read from it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from persona_geometry.report.text import count, number, table, words

VIEWS = {
    "raw": "as they are",
    "shared_removed": "as they are, without the direction of the chosen",
    "mean_centered": "less the mean of all",
    "component_1_removed": "less the mean, without component 1",
}
KINDS = {"function word": "function words", "content word": "content words"}
PLACES = 5
SHOWN = str.maketrans("\n`|", "⏎'¦")


def view_name(view: str) -> str:
    """A view of the centroids in words."""
    return VIEWS.get(view) or f"less the mean, without components 1 to {view.split('_')[1]}"


def describe_probe(found: Mapping[str, Any], layers: Sequence[int]) -> str:
    """What a probe found, as Markdown.

    Args:
        found: the content of probe.json.
        layers: the study's configured layers, which are told one by one.
    """
    chosen = [words(name) for name in found["personas"]]
    parts = [
        f"# {', '.join(chosen[:-1])} and {chosen[-1]}, probed",
        f"{len(chosen)} chosen personas beside {count(len(found['others']), 'other')}. This is "
        f"description, not mechanism: where personas are alike or differ, not why.",
        "## Layer by layer",
        *_distances(found["layers"], layers),
        *_shares(found, layers),
        "## Token by token",
        *_divergences(found["tokens"]),
        *_places(found["tokens"]),
    ]
    return "\n\n".join(parts) + "\n"


def _distances(found: Mapping[str, Any], layers: Sequence[int]) -> Iterable[str]:
    yield (
        "Mean cosine distance among the chosen personas over that among the others: below 1 they "
        "are nearer to each other than the others are. In brackets, the mean place of their pairs "
        "among all pairs, from 0 (nearest) to 1."
    )
    rows = [
        [view_name(view)]
        + [f"{number(of['relative'][n])} ({number(of['rank'][n], 2)})" for n in layers]
        for view, of in found["distances"].items()
    ]
    yield table(["centroids", *_headed(layers)], rows)
    turning = found["turning"]["mean_centered"]
    moves = [
        f"; the block of layer {turning[way]} brings them most {way}"
        for way in ("together", "apart")
        if turning[way] is not None
    ]
    yield (
        f"Less the mean of all, they are nearest at layer {turning['nearest']} and farthest at "
        f"layer {turning['farthest']}{''.join(moves)}."
    )


def _shares(found: Mapping[str, Any], layers: Sequence[int]) -> Iterable[str]:
    yield (
        f"Share of a centroid's squared length, less the mean, on the first "
        f"{count(found['components'], 'principal component')} of all personas (with), and on those "
        f"of others only (without); and its pull, the cosine of its departure from the others with "
        f"that of the other chosen personas."
    )
    shares, pull = found["layers"]["shares"], found["layers"]["pull"]
    named = [shares["with"], shares["without"]]

    def row(name: str, on: Sequence[Any], pulled: Any) -> list[str]:
        cells = [
            ", ".join(number(x, 2) for x in (*(s[n][-1] for s in on), pulled[n])) for n in layers
        ]
        return [name, *cells]

    rows = [
        row(words(name), [share["chosen"][name] for share in named], pull["chosen"][name])
        for name in found["personas"]
    ]
    rows.append(row("mean of the others", [share["others"] for share in named], pull["others"]))
    yield table(["with, without, pull", *_headed(layers)], rows)


def _divergences(tokens: Mapping[str, Any]) -> Iterable[str]:
    others = tokens["others"]
    kinds = [
        f"{number(others['by_kind'][kind]['share_of_tokens'], 2)} are {plural}"
        for kind, plural in KINDS.items()
        if others["by_kind"] and kind in others["by_kind"]
    ]
    yield (
        f"JS divergence at {count(others['tokens'], 'scored token')}: its mean in nats, and the "
        f"shares of its sum that lie on the first 8 tokens of the responses, on the tenth of the "
        f"tokens where it is largest, and on kinds of words"
        + (f" (of the tokens, {' and '.join(kinds)})." if kinds else ".")
    )
    groups = [(" and ".join(map(words, pair["personas"])), pair) for pair in tokens["pairs"]]
    groups += [("all chosen pairs", tokens["chosen"]), ("pairs of the others", others)]
    rows = []
    for name, of in groups:
        first = sum(part["share_of_js"] for part in of["by_position"] if part["below"] <= 8)
        on = [(of["by_kind"] or {}).get(kind, {}).get("share_of_js") for kind in KINDS]
        shares = [first, of["concentration"]["0.1"], *on]
        rows.append([name, number(of["mean"]), *(number(share, 2) for share in shares)])
    yield table(["pairs", "mean", "first 8", "top tenth", *KINDS.values()], rows)


def _places(tokens: Mapping[str, Any]) -> Iterable[str]:
    for pair in tokens["pairs"]:
        if pair["top_places"]:
            yield f"Where {' and '.join(map(words, pair['personas']))} diverge most:"
            rows = [
                [row["prompt"], _code(row["before"]), _code(row["token"]), number(row["js"])]
                for row in pair["top_places"][:PLACES]
            ]
            yield table(["prompt", "before", "token", "JS"], rows)


def _headed(layers: Sequence[int]) -> list[str]:
    return [f"layer {layer}" for layer in layers]


def _code(text: str) -> str:
    """A piece of a response as code in a table: blanks stay, what would end it does not."""
    return f"`{text.translate(SHOWN)}`"
