"""distinct: about how many different keys of the column a window has (see ``kinds/register.py`` for the error)."""

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.columns import KEYS
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "optional"


def columns(_: tuple[str, ...]) -> tuple[str, ...]:
    """Keys."""
    return KEYS


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of register, whatever the window."""
    return (Section("register", ask.column, "key"),)


def dtype(_: Ask) -> str:
    """A float32."""
    return "float32"


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; 0 for an empty window. The window is (as_of - window, as_of], without tiles."""
    return reading.distinct(feature.sections[0], feature.window_ms)
