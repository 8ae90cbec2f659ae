"""The folders of a release."""

RANKER = "ranker"
RETRIEVAL = "retrieval"
