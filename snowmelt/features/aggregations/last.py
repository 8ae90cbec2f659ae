"""last: the newest number of the column, or the newest bytes of the catalogue."""

from snowmelt.features.aggregations.base import Ask, Feature, Reading, number_dtype
from snowmelt.features.columns import CONTENT, numbers
from snowmelt.features.ragged import F64
from snowmelt.features.sections import Section

PARTS = ("",)
ARGUMENT = False
WINDOW = "none"


def columns(event_types: tuple[str, ...]) -> tuple[str, ...]:
    """Numbers and the content."""
    return (*numbers(event_types), CONTENT)


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of last."""
    return (Section("last", ask.column),)


def dtype(ask: Ask) -> str:
    """Bytes for the content, else a number."""
    return "bytes" if ask.column == CONTENT else number_dtype(ask.column)


def finish(feature: Feature, reading: Reading) -> F64 | list[bytes | None]:
    """float64[n] with NaN, or n payloads with None, where there is none."""
    read = reading.last if feature.column == CONTENT else reading.number
    return read(feature.sections[0])
