"""count: how many rows of a window have the column, or are of the event type that it names."""

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.columns import flags, numbers
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "optional"


def columns(event_types: tuple[str, ...]) -> tuple[str, ...]:
    """Event types and numbers."""
    return (*flags(event_types), *numbers(event_types))


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of tiles."""
    return (ask.tiles("add", "one"),)


def dtype(_: Ask) -> str:
    """A float32."""
    return "float32"


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; 0 for an empty window."""
    return reading.tiles(feature.sections[0], feature.window_ms)
