"""Figures: pure functions from results to a Matplotlib figure and a table of what it shows."""
