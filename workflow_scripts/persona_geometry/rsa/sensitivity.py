"""Does the agreement hinge on clusters, or on a single persona?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from persona_geometry.rdms.rdm import Rdm, RdmStack
from persona_geometry.rdms.triangle import vectorize
from persona_geometry.rsa.ranks import rsa, spearman


def cluster_masked(x: Rdm, y: Rdm, fine: Sequence[str]) -> tuple[float | None, int]:
    """Spearman's correlation over pairs of different clusters, and their number."""
    labels = np.array(fine)
    keep = vectorize(labels[:, None] != labels[None, :])
    if keep.sum() < 3:
        return None, int(keep.sum())
    return spearman(x.vector[keep], y.vector[keep]), int(keep.sum())


def cluster_collapsed(x: Rdm, y: Rdm, fine: Sequence[str]) -> tuple[float | None, int]:
    """Spearman's correlation after each cluster is averaged into one row, and the pairs left."""
    names = list(dict.fromkeys(fine))
    members = np.array([[label == name for label in fine] for name in names], dtype=float)
    weights = members / members.sum(1, keepdims=True)
    n_pairs = len(names) * (len(names) - 1) // 2
    of_x, of_y = (vectorize(weights @ rdm.square @ weights.T) for rdm in (x, y))
    return spearman(of_x, of_y) if n_pairs else None, n_pairs


def jackknife(x: Rdm, y: Rdm) -> dict[str, Any]:
    """Spearman's correlation with each persona left out."""
    values = {name: rsa(x.without(name), y.without(name)) for name in x.names}
    return {"values": values, **spread([v for v in values.values() if v is not None])}


def per_prompt(x: Rdm, by_prompt: RdmStack) -> dict[str, Any]:
    """Spearman's correlation of one RDM with each prompt's RDM."""
    values = {prompt: rsa(x, y) for prompt, y in zip(by_prompt.labels, by_prompt, strict=True)}
    finite = [v for v in values.values() if v is not None]
    share = sum(v > 0.5 for v in finite) / len(finite) if finite else None
    return {**spread(finite), "share_above_0.5": share, "values": values}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, interquartile range, smallest and largest; None without values."""
    if not len(values):
        return dict.fromkeys(("median", "iqr", "min", "max"))
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return {
        "median": float(middle),
        "iqr": float(high - low),
        "min": float(min(values)),
        "max": float(max(values)),
    }
