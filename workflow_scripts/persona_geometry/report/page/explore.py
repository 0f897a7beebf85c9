"""The numbers behind a page's charts, in few bytes: distances by layer and cutoff, and tokens."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm
from persona_geometry.report.figures.heatmap import hierarchical_order
from persona_geometry.rsa.intervals import widest
from persona_geometry.rsa.significance import significant

NAMED = ("top_residual_pairs", "agreeing_pairs", "disagreeing_pairs")
"""The tables of pairs at a layer."""

DIGITS = 5
"""Significant digits of the distances."""

DISTANCES, TOKENS, WORDS = 120_000, 1_000_000, 320_000
"""How many distances, token divergences (a byte each) and likely words a page holds at most."""

MOST_TEXTS = 1 << 16
"""Different words that a page can name."""


@dataclass(frozen=True)
class TokenDivergences:
    """One prompt's divergences, token by token.

    Attributes:
        prompt: its name.
        tokens: the T tokens of the response as text, or None where the tokenizer is not there.
        values: (P, T) nats, in the order of the pairs of the compared personas.
        top: ids and probabilities of the N compared personas' likeliest next tokens, each
            (N, T, k), likeliest first; None where none are kept.
    """

    prompt: str
    tokens: list[str] | None
    values: np.ndarray
    top: tuple[np.ndarray, np.ndarray] | None = None


def charts(
    alignment: Mapping[str, Any],
    clusters: Mapping[str, str],
    colors: Mapping[str, str],
    divergence: str,
    unit: str | None,
    cosine: Mapping[int, Rdm],
    divergences: Mapping[str, Rdm],
    prompts: Sequence[TokenDivergences],
    texts: Mapping[int, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything that a page's charts show.

    Args:
        alignment: the content of alignment.json.
        clusters: fine cluster of every clustered persona.
        colors: of each cluster.
        divergence, unit: what the divergences are called, and what they are in where it is known.
        cosine: layer to its RDM.
        divergences: cutoff to its RDM.
        prompts: their token divergences, where they were measured.
        texts: of tokens, by id, as far as the tokenizer is there.
    """
    personas, headline = alignment["personas"], alignment["headline_layer"]
    layer = alignment["layers"][str(headline)]
    order = hierarchical_order(cosine[headline].select(personas))
    told = [row["pair"] for name in NAMED for row in layer[name]]
    decoupled = [row["pair"] for row in layer["decoupling"]["pairs"]]
    predicted = [row["pair"] for row in (layer["predictions"] or {"pairs": []})["pairs"]]
    interest = _by_interest([*decoupled, *predicted, *told], personas)
    first = (decoupled or told or [personas[:2]])[0]
    return {
        "personas": personas,
        "clusters": {name: clusters.get(name) for name in personas},
        "colors": {name: colors.get(clusters.get(name, "")) for name in personas},
        "order": order,
        "headline": headline,
        "divergence": divergence,
        "unit": unit or "",
        **distances(cosine, divergences, personas, list(map(int, alignment["layers"]))),
        "curve": alignment["layer_curve"],
        "found": {
            name: significant(of["family_wise_p"]) for name, of in alignment["layer_curve"].items()
        },
        "ceiling": alignment["noise_ceiling"],
        "intervals": {name: widest(of["intervals"]) for name, of in alignment["layers"].items()},
        "rho": {
            name: {c: of["cutoffs"][c] for c in divergences if c in of["cutoffs"]}
            for name, of in alignment["layers"].items()
        },
        "decoupled": decoupled,
        "predicted": predicted,
        "shown": [personas.index(name) for name in first],
        "tokens": tokens(prompts, interest),
        "words": words(prompts, interest, len(personas), texts),
    }


def _by_interest(told: Sequence[Sequence[str]], personas: Sequence[str]) -> list[int]:
    """Places of all pairs, those that a table names first."""
    pairs = [frozenset(pair) for pair in combinations(personas, 2)]
    named = set(map(frozenset, told))
    return sorted(range(len(pairs)), key=lambda k: pairs[k] not in named)


def distances(
    cosine: Mapping[int, Rdm],
    divergence: Mapping[str, Rdm],
    personas: Sequence[str],
    layers: Sequence[int],
    n_studies: int = 1,
) -> dict[str, Any]:
    """Distances of all pairs, of every layer and cutoff that there is room for.

    Args:
        cosine: layer to its RDM.
        divergence: cutoff to its RDM.
        personas: N names, those that are compared.
        layers: the configured ones, which are held whatever the room.
        n_studies: studies on the page, which share the room.

    Returns:
        `layers` and `cutoffs`, each name to N(N-1)/2 distances row by row.
    """
    n_pairs = len(personas) * (len(personas) - 1) // 2
    room = max(0, DISTANCES // max(1, n_pairs) // n_studies - len(divergence))
    wanted = [*layers, *(layer for layer in cosine if layer not in layers)]
    held = sorted(wanted[: max(room, len(layers))])
    return {
        "layers": {str(layer): _short(cosine[layer].select(personas).vector) for layer in held},
        "cutoffs": {name: _short(rdm.select(personas).vector) for name, rdm in divergence.items()},
    }


def tokens(prompts: Sequence[TokenDivergences], order: Sequence[int]) -> dict[str, Any] | None:
    """Token divergences as bytes: each the square root of its share of the largest, in 255ths.

    Args:
        prompts: of the study.
        order: places of pairs, those first that matter most where not all have room.

    Returns:
        `pairs` (places), `largest` (nats), and `prompts`: each with its name, `tokens` and `bytes`,
        base64 of (pairs, T). None where there is nothing.
    """
    length = sum(one.values.shape[1] for one in prompts)
    if not length:
        return None
    held = sorted(order[: TOKENS // length])
    largest = max(float(one.values[held].max(initial=0.0)) for one in prompts) or 1.0
    return {
        "pairs": held,
        "largest": largest,
        "prompts": [
            {"name": one.prompt, "tokens": one.tokens, "bytes": _bytes(one.values[held] / largest)}
            for one in prompts
        ],
    }


def words(
    prompts: Sequence[TokenDivergences],
    order: Sequence[int],
    n_personas: int,
    texts: Mapping[int, str],
) -> dict[str, Any] | None:
    """The words that each persona would rather have said, in three bytes each.

    Args:
        prompts: of the study.
        order: places of pairs, those first whose personas matter most where not all have room.
        n_personas: N that are compared.
        texts: of tokens, by id; one that is not there is told by its id.

    Returns:
        `personas` (places), `k`, `texts`, and `prompts`, a pair of base64 each: of (personas, T, k)
        places in `texts` as 16 bits, little-endian, and of the words' probabilities as bytes.
        None where none are kept.
    """
    kept = [one.top for one in prompts if one.top is not None]
    if not kept:
        return None
    k = kept[0][0].shape[-1]
    pairs = list(combinations(range(n_personas), 2))
    ranked = dict.fromkeys(persona for place in order for persona in pairs[place])
    length = sum(ids.shape[1] for ids, _ in kept)
    held = sorted(list(ranked)[: WORDS // (length * k)])
    known, counts = np.unique(
        np.concatenate([ids[held].ravel() for ids, _ in kept]), return_counts=True
    )
    often = known[np.argsort(-counts, kind="stable")][: MOST_TEXTS - 1]
    place_of = np.full(int(known.max(initial=0)) + 1, len(often), dtype="<u2")
    place_of[often] = np.arange(len(often))
    return {
        "personas": held,
        "k": k,
        "texts": [*(texts.get(int(token), f"token {token}") for token in often), "another token"],
        "prompts": [
            [_base64(place_of[ids[held]]), _bytes(probabilities[held])]
            for ids, probabilities in kept
        ],
    }


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _bytes(shares: np.ndarray) -> str:
    steps = np.rint(np.sqrt(np.clip(shares, 0, 1)) * 255).astype(np.uint8)
    return _base64(steps)


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]
