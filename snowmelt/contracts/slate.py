"""A slate's rung: which step of the ladder answered. The slate itself is a message of ``protos/``, made once."""

RUNG_FULL = "full"
RUNG_RETRIEVAL_ORDER = "retrieval_order"
RUNG_POPULARITY = "popularity"
