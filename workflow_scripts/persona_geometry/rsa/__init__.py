"""Representational similarity analysis: statistics, permutation tests and uncertainty."""
