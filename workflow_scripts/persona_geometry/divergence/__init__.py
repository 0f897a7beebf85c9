"""Exact pairwise divergences between next-token distributions over large vocabularies."""

from .pairwise import (
    PairDivergences,
    pairwise_divergences,
    unchecked_divergences,
    within_range,
)

__all__ = ["PairDivergences", "pairwise_divergences", "unchecked_divergences", "within_range"]
