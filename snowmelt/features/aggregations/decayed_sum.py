"""decayed_sum: the column's numbers (1 for a row of an event type), each halved every half-life (time_window)."""

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.columns import flags, numbers
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "required"


def columns(event_types: tuple[str, ...]) -> tuple[str, ...]:
    """Event types and numbers."""
    return (*flags(event_types), *numbers(event_types))


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of decayed, without keys."""
    measure = "one" if ask.column in flags(ask.event_types) else "value"
    return (Section("decayed", ask.column, measure, half_life_ms=ask.window_ms),)


def dtype(_: Ask) -> str:
    """A float32."""
    return "float32"


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; 0 where there was nothing."""
    return reading.decayed(feature.sections[0])
