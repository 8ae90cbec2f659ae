"""The lake: Delta tables, appended exactly once from Kafka's partitions, read at a pinned version."""

from snowmelt.lake.appending import FencedError, Range
from snowmelt.lake.lake import Lake
from snowmelt.lake.schemas import DEAD_LETTERS, REPLAYS, TABLES, TOPIC_TABLES

__all__ = ["DEAD_LETTERS", "REPLAYS", "TABLES", "TOPIC_TABLES", "FencedError", "Lake", "Range"]
