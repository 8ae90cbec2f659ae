"""mean: the column's numbers of a window, averaged."""

import numpy as np

from snowmelt.features.aggregations.base import Ask, Feature, Reading, number_dtype
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
    """Two of tiles: the sum and the count."""
    return (ask.tiles("add"), ask.tiles("add", "one"))


def dtype(ask: Ask) -> str:
    """A number."""
    return number_dtype(ask.column)


def finish(feature: Feature, reading: Reading) -> F64:
    """float64[n]; NaN for an empty window."""
    total, count = (reading.tiles(s, feature.window_ms) for s in feature.sections)
    return ratio(total, count)


def ratio(total: F64, count: F64) -> F64:
    """total / count, NaN where the count is 0."""
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
