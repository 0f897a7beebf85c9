"""A few chosen personas looked at closely: what they share in every layer, and where they diverge.

All of it describes; what follows when a direction is taken away is asked by an intervention.
"""

METHOD = 1
"""Version of the code that probes; raised when a change to it changes numbers."""
