"""Retrieval: user state in, candidates out."""
