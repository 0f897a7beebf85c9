"""Representational dissimilarity matrices: made from the store or read from files."""

METHOD = 1
"""Version of what makes published divergences, RDMs and centroids.

Raised when a change to it changes their numbers or their form: finished studies then publish anew
and compare again, at their next run and without a GPU.
"""
