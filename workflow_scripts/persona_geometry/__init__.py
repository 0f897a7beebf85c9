"""Representational and behavioral geometry of the personas of a language model."""
