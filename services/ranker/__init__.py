"""The ranker: user state and candidates in, scores out."""
