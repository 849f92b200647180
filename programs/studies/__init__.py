"""Experiments over many runs: comparing strategies, optimizing prompts."""
