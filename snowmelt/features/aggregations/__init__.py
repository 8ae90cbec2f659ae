"""The functions that a Feast ``Aggregation`` may name, one file a function.

A file says which columns the function takes, which sections of state it reads (a kind of section in ``kinds/`` is
codec, fold and merge) and how it is finished. ``finish`` reads through ``Reading``, which is there twice: over decoded
online state, and over all rows as of any instants. So one function gives the value online, offline and in training.
"""

import re

from snowmelt.features.aggregations import (
    count,
    decayed_counts,
    decayed_mean,
    decayed_sum,
    distinct,
    last,
    latest_distinct,
    maximum,
    mean,
    minimum,
    sum,  # noqa: A004 - Feast's own name of the function
)
from snowmelt.features.aggregations.base import Aggregation, Ask, Feature, Reading
from snowmelt.features.columns import refuse_unknown

AGGREGATIONS: dict[str, Aggregation] = {
    "sum": sum,
    "count": count,
    "mean": mean,
    "min": minimum,
    "max": maximum,
    "last": last,
    "decayed_sum": decayed_sum,
    "decayed_mean": decayed_mean,
    "decayed_counts": decayed_counts,
    "latest_distinct": latest_distinct,
    "distinct": distinct,
}

_FUNCTION = re.compile(r"([A-Za-z_]+)(?:\((\d{1,9})\))?(?:\.([a-z]+))?")


def parse(function: str, where: str) -> tuple[str, int, str]:
    """Name, argument (0 where there is none) and part of a function such as ``latest_distinct(50).times``.

    Raises:
        SnowmeltError: INVALID_FIELD, with the nearest name.
    """
    match = _FUNCTION.fullmatch(function.strip())
    name, argument, part = match.groups() if match else (function, None, None)
    refuse_unknown(name, AGGREGATIONS, f"{where}: function")
    return name, int(argument or 0), part or ""


__all__ = ["AGGREGATIONS", "Aggregation", "Ask", "Feature", "Reading", "parse"]
