"""Greedy responses, by transformers or by vLLM."""
