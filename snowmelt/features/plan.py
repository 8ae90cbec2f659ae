"""What some features read of a state: numbers, which come straight from the bytes, and lists, out of decoded groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from snowmelt.features import state
from snowmelt.features.aggregations import Feature
from snowmelt.features.columns import CONTENT
from snowmelt.features.kinds import FIXED
from snowmelt.features.ragged import F64, I64, Ragged
from snowmelt.features.sections import Group, Section

ASKED = ("add", "min", "max", "decayed", "register", "last")
"""What a section is asked for, by number in ``asks``: a window's tiles, or what its kind gives."""

Columns = dict[tuple[int, int], int]


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
        groups, sections: all of the view.
        columns: the column of each (section, window_ms) that is a number; of a decayed sum the next one is its time.
        asks: int64[a, 5]: section, what (see ``ASKED``), hop_ms, window_ms, column; sorted.
        width: how many columns there are.
        decoded: the places of the groups that hold lists.
    """

    features: tuple[Feature, ...]
    groups: tuple[Group, ...]
    sections: tuple[Section, ...]
    columns: Mapping[tuple[int, int], int]
    asks: I64
    width: int
    decoded: tuple[int, ...]

    @cached_property
    def fixed(self) -> int:
        """How many of the sections have records of one length; those that follow are of the kind ``last``."""
        return sum(section.kind in FIXED for section in self.sections)

    def numbers(self, states: Sequence[bytes | None], as_of_ms: int) -> Numbers:
        """The numbers of n states; None and empty bytes are the state of nothing.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where a state does not have these sections.
        """
        from snowmelt.features import packed  # noqa: PLC0415 - it takes a second, and who folds does without

        nothing = bytes(4 * len(self.sections))
        found = packed.numbers(self, [s or nothing for s in states], as_of_ms)
        if found is None:
            raise state.mismatch()
        return Numbers(*found)

    def lists(self, states: Sequence[bytes | None]) -> dict[int, Ragged]:
        """The decoded groups by their place.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where a state does not have these sections.
        """
        return state.unpack_some(self.groups, states, self.decoded) if self.decoded else {}


def plan(groups: tuple[Group, ...], features: tuple[Feature, ...]) -> Plan:
    """The plan that reads ``features`` out of states of these groups."""
    sections = tuple(section for group in groups for section in group.sections)
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
    decoded = tuple(n for n, g in enumerate(groups) if not listed.isdisjoint(range(g.start, g.stop)))
    return Plan(features, groups, sections, columns, np.array(asks, np.int64).reshape(-1, 5), width, decoded)


def _is_number(section: Section) -> bool:
    if section.kind == "decayed":
        return section.measure != "key"
    return section.kind in {"tiles", "register"} or (section.kind == "last" and section.column != CONTENT)


def _place(index: int, section: Section, feature: Feature) -> tuple[int, int]:
    return index, feature.window_ms if section.kind in {"tiles", "register"} else 0
