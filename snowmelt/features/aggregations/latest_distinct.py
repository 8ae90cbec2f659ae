"""latest_distinct(N): the newest N different keys of the column, newest first.

The value is the keys; ``latest_distinct(N).times`` (ms) and ``latest_distinct(N).types`` (codes) are aligned with them
and on the same section.
"""

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.columns import KEYS
from snowmelt.features.ragged import Array
from snowmelt.features.sections import Section

PARTS = ("", "times", "types")
ARGUMENT = True
WINDOW = "none"
MAX_LIMIT = 10_000

_DTYPES = ("uint64[]", "int64[]", "uint8[]")


def columns(_: tuple[str, ...]) -> tuple[str, ...]:
    """Keys."""
    return KEYS


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of newest."""
    if not 1 <= ask.argument <= MAX_LIMIT:
        raise ask.refuse(f"latest_distinct keeps 1 to {MAX_LIMIT} keys, not {ask.argument}")
    return (Section("newest", ask.column, "key", limit=ask.argument),)


def dtype(ask: Ask) -> str:
    """Keys, times or types."""
    return _DTYPES[PARTS.index(ask.part)]


def finish(feature: Feature, reading: Reading) -> list[Array]:
    """n arrays, empty where there was nothing."""
    return reading.newest(feature.sections[0]).split(PARTS.index(feature.part))
