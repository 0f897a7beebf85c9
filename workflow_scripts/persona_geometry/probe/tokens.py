"""Where in the responses personas diverge: by position, by kind of word, by token."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from persona_geometry.model.token_texts import scored_texts
from persona_geometry.probe.words import KINDS, kinds

TOP = 10
CONTEXT = 40  # characters
CONCENTRATIONS = (0.01, 0.1)


@dataclass(frozen=True)
class ScoredText:
    """The T scored tokens of a response, as a reader sees them.

    Attributes:
        pieces: the text that each adds.
        kinds: of which kind of word each is.
    """

    pieces: list[str]
    kinds: list[str]


def scored_text(folder: Path, token_ids: Sequence[int], n_scored: int) -> ScoredText | None:
    """A response as a reader sees it.

    None where other tokens than the generated were scored, or the checkpoint in the folder has no
    tokenizer.json.
    """
    added = scored_texts(folder, token_ids, n_scored)
    return None if added is None else ScoredText(added, kinds(added))


def divergence_by_token(
    series: Mapping[str, np.ndarray], texts: Mapping[str, ScoredText | None]
) -> dict[str, Any]:
    """Where along the responses a divergence lies, as shares of its sum over all tokens.

    Args:
        series: prompt to its (T,) divergences, in nats, of one pair or averaged over pairs.
        texts: prompt to its tokens; None where the scored tokens are not the generated ones.

    Returns:
        `tokens`, `mean`; `by_position` and, of the prompts with texts, `by_kind`, each with
        `share_of_tokens`, `share_of_js` and `mean`; `concentration`, the share of the largest
        tokens; `top_places` and `top_tokens`. Without any text `by_kind` and the tops are None.
    """
    values = np.concatenate(list(series.values())).astype(np.float64)
    positions = np.concatenate([np.arange(len(one)) for one in series.values()])
    largest = np.sort(values)[::-1]
    found: dict[str, Any] = {
        "tokens": len(values),
        "mean": float(values.mean()),
        "by_position": [
            {"from": low, "below": high, **_part(values, (positions >= low) & (positions < high))}
            for low, high in position_bins(int(positions.max()) + 1)
        ],
        "concentration": {
            f"{share:g}": _ratio(largest[: int(np.ceil(share * len(values)))].sum(), values.sum())
            for share in CONCENTRATIONS
        },
    }
    known = {prompt: text for prompt, text in texts.items() if text is not None}
    if not known:
        return found | dict.fromkeys(("by_kind", "top_places", "top_tokens"))
    of_text = np.concatenate([series[prompt] for prompt in known]).astype(np.float64)
    of_kind = np.array([kind for text in known.values() for kind in text.kinds])
    by_kind = {kind: _part(of_text, of_kind == kind) for kind in KINDS if kind in of_kind}
    return found | {
        "by_kind": by_kind,
        "top_places": _top_places(of_text, known),
        "top_tokens": _top_tokens(of_text, known),
    }


def position_bins(length: int) -> list[tuple[int, int]]:
    """Spans of tokens that cover a length, each as long as all before it: 0, 1, 2-3, 4-7, …"""
    edges = [0, 1]
    while edges[-1] < length:
        edges.append(2 * edges[-1])
    return list(pairwise(edges))


def _part(values: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    return {
        "share_of_tokens": float(chosen.mean()),
        "share_of_js": _ratio(values[chosen].sum(), values.sum()),
        "mean": float(values[chosen].mean()),
    }


def _ratio(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return float(part / whole) if whole > 0 else 0.0


def _top_places(values: np.ndarray, texts: Mapping[str, ScoredText]) -> list[dict[str, Any]]:
    """The tokens with the largest divergence, and what stands before each."""
    places = [(prompt, n) for prompt, text in texts.items() for n in range(len(text.pieces))]
    rows = []
    for place in np.argsort(-values, kind="stable")[:TOP]:
        prompt, n = places[place]
        added = texts[prompt].pieces
        before = "".join(added[:n])[-CONTEXT:]
        row = {"prompt": prompt, "position": n, "before": before, "token": added[n]}
        rows.append({**row, "kind": texts[prompt].kinds[n], "js": float(values[place])})
    return rows


def _top_tokens(values: np.ndarray, texts: Mapping[str, ScoredText]) -> list[dict[str, Any]]:
    """The tokens that have the largest shares of the divergence, all their occurrences together."""
    sums: dict[str, list[float]] = defaultdict(list)
    added = [piece for text in texts.values() for piece in text.pieces]
    for piece, value in zip(added, values, strict=True):
        sums[piece].append(float(value))
    ordered = sorted(sums.items(), key=lambda item: -sum(item[1]))[:TOP]
    return [
        {"token": piece, "times": len(found), "share_of_js": _ratio(sum(found), values.sum())}
        for piece, found in ordered
    ]


def mean_by_token(rows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """(T,) mean of (pairs, T) divergences over the pairs that a (pairs,) mask chooses."""
    return np.asarray(rows[chosen].mean(axis=0, dtype=np.float64))
