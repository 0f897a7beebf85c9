"""Finished studies compared with one another: do their geometries, and what was found, repeat?"""

METHOD = 2
"""Version of the comparison of studies; raised when a change to it changes comparison.json."""
