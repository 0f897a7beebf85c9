"""What a probe of chosen personas finds."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from persona_geometry.probe.groups import GROUPS, n_chosen_of
from persona_geometry.probe.layers import probed_layers, turning_layers
from persona_geometry.probe.tokens import ScoredText, divergence_by_token, mean_by_token


def probe(
    names: Sequence[str],
    centroids: np.ndarray,
    chosen: Sequence[str],
    components: int,
    divergences: Mapping[str, np.ndarray],
    texts: Mapping[str, ScoredText | None],
) -> dict[str, Any]:
    """Look at chosen personas: the content of probe.json, which docs/probe.md explains.

    Args:
        names: N personas, without the anchor.
        centroids: (L, N, d) centroids.
        chosen: at least two of the names, of which at least components + 2 others remain.
        components: principal components that are looked at.
        divergences: prompt to the (N(N-1)/2, T) JS divergences of the pairs of names at every
            token, in nats.
        texts: prompt to its tokens; None where the scored tokens are not the generated ones.
    """
    layers = probed_layers(names, centroids, chosen, components)
    pairs = list(combinations(names, 2))
    n_chosen = n_chosen_of(pairs, chosen)

    def by_token(of: np.ndarray) -> dict[str, Any]:
        series = {prompt: mean_by_token(rows, of) for prompt, rows in divergences.items()}
        return divergence_by_token(series, texts)

    of_each = np.eye(len(pairs), dtype=bool)
    return {
        "personas": list(chosen),
        "others": [name for name in names if name not in chosen],
        "components": components,
        "layers": {
            **layers,
            "turning": {v: turning_layers(d["relative"]) for v, d in layers["distances"].items()},
        },
        "tokens": {
            "pairs": [
                {"personas": list(pairs[place]), **by_token(of_each[place])}
                for place in np.flatnonzero(n_chosen == GROUPS["chosen"])
            ],
            "chosen": by_token(n_chosen == GROUPS["chosen"]),
            "others": by_token(n_chosen == GROUPS["others"]),
        },
    }
