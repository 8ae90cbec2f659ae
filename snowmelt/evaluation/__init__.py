"""Protocols, metrics and baselines: how good a ranking is, against what, and how sure that is."""
