"""Representational similarity analysis: statistics, permutation tests and uncertainty."""

METHOD = 6
"""Version of the comparison.

Raised when a change to it changes the numbers or the form of alignment.json: finished studies are
then compared again at their next run, without a GPU.
"""
