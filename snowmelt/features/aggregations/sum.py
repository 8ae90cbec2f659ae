"""sum: the column's numbers of a window, added up; of an event type, how many rows are of it."""

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
    """One of tiles; an event type shares its section with count."""
    return (ask.tiles("add", "one" if ask.column in flags(ask.event_types) else "value"),)


def dtype(_: Ask) -> str:
    """A float32."""
    return "float32"


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; 0 for an empty window."""
    return reading.tiles(feature.sections[0], feature.window_ms)
