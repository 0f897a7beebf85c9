"""A study's results for readers: sentences, figures, and where the numbers come from."""

METHOD = 7
"""Version of figures, summary, run.json and report.html.

Raised when a change to it changes what they show: those of finished studies are then made anew at
their next run.
"""
