"""Decoded state, finished at one instant, section by section."""

from typing import NamedTuple

import numpy as np

from snowmelt.features.kinds import decayed, last, newest, register, tiles
from snowmelt.features.ragged import F64, Ragged
from snowmelt.features.sections import Group


class Place(NamedTuple):
    """Where a section is: its group, and its place in the group."""

    group: int
    cell: int


class OnlineReading:
    """``Reading`` of n states at one instant; what a group's sections share is worked out once for all of them."""

    def __init__(self, groups: tuple[Group, ...], parts: tuple[Ragged, ...], as_of_ms: int) -> None:
        self._groups, self._parts, self._as_of_ms = groups, parts, as_of_ms
        self._places = {
            g.start + cell: Place(index, cell) for index, g in enumerate(groups) for cell in range(len(g.sections))
        }
        self._windows: dict[tuple[int, int], F64] = {}
        self._weighted: dict[int, Ragged] = {}
        self._sums: dict[int, F64] = {}

    def tiles(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        group, cell = self._places[section]
        key = (group, window_ms)
        if key not in self._windows:
            sections = self._groups[group].sections
            values = tiles.finish(sections[0], self._parts[group], window_ms, self._as_of_ms)
            self._windows[key] = values.reshape(-1, len(sections))
        return self._windows[key][:, cell]

    def decayed(self, section: int) -> F64:
        """See ``Reading``."""
        group, cell = self._places[section]
        if group not in self._sums:
            state = self._weights(group)
            # A section without keys has at most one record a cell; what this makes of keyed ones nobody reads.
            sums = np.zeros(len(state.offsets) - 1)
            sums[state.cells] = state.columns[1]
            self._sums[group] = sums.reshape(-1, len(self._groups[group].sections))
        return self._sums[group][:, cell]

    def _weights(self, group: int) -> Ragged:
        if group not in self._weighted:
            sections, state = self._groups[group].sections, self._parts[group]
            half_lives = np.array([s.half_life_ms for s in sections], np.float64)[state.cells % len(sections)]
            weights = decayed.finish(half_lives, state, self._as_of_ms)
            self._weighted[group] = Ragged(state.offsets, (state.columns[0], weights))
        return self._weighted[group]

    def keyed(self, section: int) -> Ragged:
        """See ``Reading``."""
        group, cell = self._places[section]
        return self._weights(group).at(cell, len(self._groups[group].sections))

    def _own(self, section: int) -> Ragged:
        group, cell = self._places[section]
        return self._parts[group].at(cell, len(self._groups[group].sections))

    def newest(self, section: int) -> Ragged:
        """See ``Reading``."""
        return newest.finish(self._own(section), self._as_of_ms)

    def distinct(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        return register.finish(self._own(section), window_ms, self._as_of_ms)

    def last(self, section: int) -> list[bytes | None]:
        """See ``Reading``."""
        return last.finish(self._own(section), self._as_of_ms)
