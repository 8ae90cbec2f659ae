"""What some features read of a state: numbers, which come straight from the bytes, and lists of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import NamedTuple, TypeVar

import numpy as np

from snowmelt.features import state
from snowmelt.features.aggregations import Feature
from snowmelt.features.columns import CONTENT
from snowmelt.features.kinds import FIXED, last
from snowmelt.features.ragged import F64, I64, Ragged
from snowmelt.features.sections import Section

ASKED = ("add", "min", "max", "decayed", "register", "last")
"""What a section is asked for, by number in ``asks``: a window's tiles, or what its kind gives."""

Columns = dict[tuple[int, int], int]

T = TypeVar("T")


class Opened(NamedTuple):
    """n states, in which every section has been found.

    Attributes:
        blob: their bytes, each state's from a multiple of 4 on.
        places: int64[sections, 2, n]: where in the blob the records of each begin, and how many bytes they are.
    """

    blob: bytes
    places: I64


class Numbers(NamedTuple):
    """n states' numbers at one instant.

    Attributes:
        values: float64[n, width], by the plan's columns.
        spans: int64[n, 2]; a row stands as it is at each instant from the first to before the second.
    """

    values: F64
    spans: I64


@dataclass(frozen=True)
class Plan:
    """How some features are read.

    Attributes:
        features: in the view's order.
        sections: all of the view.
        columns: the column of each (section, window_ms) that is a number; of a decayed sum the next one is its time.
        asks: int64[a, 5]: section, what (see ``ASKED``), hop_ms, window_ms, column; sorted.
        width: how many columns there are.
        listed: the sections of which all records are read.
    """

    features: tuple[Feature, ...]
    sections: tuple[Section, ...]
    columns: Mapping[tuple[int, int], int]
    asks: I64
    width: int
    listed: tuple[int, ...]

    @cached_property
    def fixed(self) -> int:
        """How many of the sections have records of one length; those that follow are of the kind ``last``."""
        return sum(section.kind in FIXED for section in self.sections)

    def open(self, states: Sequence[bytes | None]) -> Opened:
        """The states; None and empty bytes are the state of nothing.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where a state does not have these sections.
        """
        nothing = bytes(4 * len(self.sections))
        found: Opened | None = _packed().opened(self, [s or nothing for s in states])
        return _whole(found)

    def numbers(self, opened: Opened, as_of_ms: int) -> Numbers:
        """The numbers at one instant.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where a section does not hold such records.
        """
        found: Numbers | None = _packed().numbers(self, opened, as_of_ms)
        return _whole(found)

    def lists(self, opened: Opened) -> dict[int, Ragged]:
        """The records of each listed section, n cells.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where a section does not hold such records.
        """
        return {index: self._records(index, opened) for index in self.listed}

    def _records(self, index: int, opened: Opened) -> Ragged:
        kind = FIXED.get(self.sections[index].kind)
        if kind is None:
            return last.records(opened.blob, *opened.places[index].tolist())
        offsets, words = _whole(_packed().records(opened, index, kind.WORDS))
        return Ragged(offsets, kind.decode(words))


def _packed() -> ModuleType:
    from snowmelt.features import packed  # noqa: PLC0415 - it takes a second, and who folds does without

    return packed


def _whole(found: T | None) -> T:
    if found is None:
        raise state.mismatch()
    return found


def plan(sections: tuple[Section, ...], features: tuple[Feature, ...]) -> Plan:
    """The plan that reads ``features`` out of states of these sections."""
    columns: Columns = {}
    listed: set[int] = set()
    width = 0
    for feature in features:
        for index in feature.sections:
            if not _is_number(sections[index]):
                listed.add(index)
            elif (place := _place(index, sections[index], feature)) not in columns:
                columns[place] = width
                width += 2 if sections[index].kind == "decayed" else 1
    asks = [
        (index, ASKED.index(sections[index].combine or sections[index].kind), sections[index].hop_ms, window, column)
        for (index, window), column in sorted(columns.items())
    ]
    return Plan(features, sections, columns, np.array(asks, np.int64).reshape(-1, 5), width, tuple(sorted(listed)))


def _is_number(section: Section) -> bool:
    if section.kind == "decayed":
        return section.measure != "key"
    return section.kind in {"tiles", "register"} or (section.kind == "last" and section.column != CONTENT)


def _place(index: int, section: Section, feature: Feature) -> tuple[int, int]:
    return index, feature.window_ms if section.kind in {"tiles", "register"} else 0
