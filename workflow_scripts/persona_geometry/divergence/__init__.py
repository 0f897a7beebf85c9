"""Exact pairwise divergences between next-token distributions over large vocabularies."""

from .pairwise import PairDivergences, pairwise_divergences

__all__ = ["PairDivergences", "pairwise_divergences"]
