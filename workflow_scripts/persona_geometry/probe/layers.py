"""Chosen personas layer by layer: what they share, and how near they are to each other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from persona_geometry.probe.directions import (
    leading_components,
    projected_out,
    pulls,
    shared_direction,
    shares_with,
    shares_without,
    unit,
)
from persona_geometry.probe.groups import GROUPS, n_chosen_of, places_of
from persona_geometry.rdms.centroids import cosine_rdms
from persona_geometry.rdms.rdm import Rdm


def probed_layers(
    names: Sequence[str], centroids: np.ndarray, chosen: Sequence[str], k: int
) -> dict[str, Any]:
    """Everything about chosen personas that centroids tell, layer by layer.

    Args:
        names: N personas, without the anchor.
        centroids: (L, N, d) centroids.
        chosen: at least two of the names, of which at least k + 2 others remain.
        k: principal components that are looked at.

    Returns:
        `shares` on leading components, `pull` and `distances`; docs/probe.md explains them.
    """
    places, others = places_of(names, chosen)

    def by_group(values: np.ndarray) -> dict[str, Any]:
        """Values of (L, N, ...): of each chosen persona, and the mean over the others."""
        of_chosen = {n: values[:, p].tolist() for n, p in zip(chosen, places, strict=True)}
        return {"chosen": of_chosen, "others": values[:, others].mean(axis=1).tolist()}

    return {
        "shares": {
            "with": by_group(shares_with(centroids, k)),
            "without": by_group(shares_without(centroids, places, k)),
        },
        "pull": by_group(pulls(centroids, places)),
        "distances": {
            view: grouped_distances(cosine_rdms(names, vectors), chosen)
            for view, vectors in views(centroids, places, others, k).items()
        },
    }


def directions_of(
    names: Sequence[str], centroids: np.ndarray, chosen: Sequence[str], k: int
) -> dict[str, np.ndarray]:
    """Directions that an intervention may take away: `shared`, `component_1` to k, and `random`.

    The last, drawn anew for each layer from a fixed seed, is a control.

    Returns:
        Name to (L, d) float64 unit vectors; but for `random` the chosen lie further up on them than
        the others.
    """
    places, others = places_of(names, chosen)
    shared = shared_direction(centroids[:, places], centroids[:, others])
    components = leading_components(centroids, k)[1]
    up = np.where((components * shared[:, None]).sum(axis=2, keepdims=True) < 0, -1.0, 1.0)
    named = {f"component_{n + 1}": (components * up)[:, n] for n in range(k)}
    drawn = np.random.default_rng(0).normal(size=shared.shape)
    return {"shared": shared, **named, "random": unit(drawn)}


def views(
    centroids: np.ndarray, chosen: list[int], others: list[int], k: int
) -> dict[str, np.ndarray]:
    """Centroids as they are, less a direction, less their mean, and then less components too.

    The direction of the chosen personas is taken from centroids as they are: less their mean, any
    few personas would come out far from each other without it, for it is their own mean.

    Returns:
        Name to (L, N, d) centroids: `raw`, `shared_removed`, `mean_centered`, and
        `component_1_removed` to `components_k_removed`.
    """
    mean, components = leading_components(centroids, k)
    centered = centroids - mean[:, None]
    shared = shared_direction(centroids[:, chosen], centroids[:, others])[:, None]
    found = {
        "raw": centroids,
        "shared_removed": projected_out(centroids, shared),
        "mean_centered": centered,
    }
    for n in range(1, k + 1):
        name = f"component{'' if n == 1 else 's'}_{n}_removed"
        found[name] = projected_out(centered, components[:, :n])
    return found


def grouped_distances(rdms: dict[int, Rdm], chosen: Sequence[str]) -> dict[str, Any]:
    """Distances among chosen personas beside those among the others, layer by layer.

    Args:
        rdms: layer to RDM, from layer 0 on.
        chosen: names of the chosen personas.

    Returns:
        Lists over layers: `chosen` and `others`, mean distances within each group; `across`, the
        mean distance between them; `relative`, chosen over others; `rank`, the mean place of the
        chosen pairs among all pairs, 0 for the nearest and 1 for the farthest.
    """
    rows: dict[str, list[float]] = {
        name: [] for name in ("chosen", "others", "across", "relative", "rank")
    }
    for rdm in rdms.values():
        n_chosen = n_chosen_of(rdm.pairs, chosen)
        among, across, apart = (rdm.vector[n_chosen == n].mean() for n in GROUPS.values())
        rank = (rdm.ranks[n_chosen == GROUPS["chosen"]] / 2 - 1).mean() / (len(rdm.vector) - 1)
        for name, value in zip(rows, (among, apart, across, among / apart, rank), strict=True):
            rows[name].append(float(value))
    return rows


def turning_layers(relative: Sequence[float]) -> dict[str, int | None]:
    """Where chosen personas are nearest and farthest, and where they move most.

    Args:
        relative: their distance relative to that of the others, a layer each.

    Returns:
        Layers: `nearest`, `farthest`, and the layers whose block brings them most `together` and
        most `apart`, None where none does.
    """
    steps = np.diff(np.log(relative))
    most = {"together": -steps, "apart": steps}
    return {
        "nearest": int(np.argmin(relative)),
        "farthest": int(np.argmax(relative)),
        **{
            name: int(np.argmax(sizes)) + 1 if len(sizes) and sizes.max() > 0 else None
            for name, sizes in most.items()
        },
    }
