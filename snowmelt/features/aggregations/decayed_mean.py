"""decayed_mean: the column's numbers averaged, each weighing half as much after every half-life (time_window)."""

from dataclasses import replace

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.aggregations.mean import ratio
from snowmelt.features.columns import numbers
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "required"


def columns(event_types: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers."""
    return numbers(event_types)


def sections(ask: Ask) -> tuple[Section, ...]:
    """Two of decayed: the sum and the count."""
    total = Section("decayed", ask.column, half_life_ms=ask.window_ms)
    return (total, replace(total, measure="one"))


def dtype(_: Ask) -> str:
    """A float32."""
    return "float32"


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; NaN where there was nothing, or so long ago that its weight is 0."""
    total, count = (reading.decayed(s) for s in feature.sections)
    return ratio(total, count)
