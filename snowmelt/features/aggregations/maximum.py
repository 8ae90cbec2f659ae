"""max: the greatest of the column's numbers of a window."""

from snowmelt.features.aggregations.base import Ask, Feature, Reading, absent_as_nan, number_dtype
from snowmelt.features.columns import numbers
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "optional"


def columns(event_types: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers."""
    return numbers(event_types)


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of tiles."""
    return (ask.tiles("max"),)


def dtype(ask: Ask) -> str:
    """A number."""
    return number_dtype(ask.column)


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; NaN for an empty window."""
    return absent_as_nan(reading.tiles(feature.sections[0], feature.window_ms))
