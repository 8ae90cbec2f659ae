"""Decoded state, finished at one instant, section by section."""

from functools import cache
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
    """``Reading`` of n states at one instant; a group's window is reduced once for all of its sections."""

    def __init__(self, groups: tuple[Group, ...], parts: tuple[Ragged, ...], as_of_ms: int) -> None:
        self._groups, self._parts, self._as_of_ms = groups, parts, as_of_ms
        self._places = {
            g.start + cell: Place(index, cell) for index, g in enumerate(groups) for cell in range(len(g.sections))
        }
        self._window = cache(self._window)  # type: ignore[method-assign]
        self._weights = cache(self._weights)  # type: ignore[method-assign]

    def _window(self, group: int, window_ms: int) -> F64:
        sections = self._groups[group].sections
        return tiles.finish(sections[0], self._parts[group], window_ms, self._as_of_ms).reshape(-1, len(sections))

    def tiles(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        group, cell = self._places[section]
        return self._window(group, window_ms)[:, cell]

    def _weights(self, group: int) -> Ragged:
        sections, state = self._groups[group].sections, self._parts[group]
        half_lives = np.array([s.half_life_ms for s in sections], np.float64)[state.cells % len(sections)]
        return Ragged(state.offsets, (state.columns[0], decayed.finish(half_lives, state, self._as_of_ms)))

    def decayed(self, section: int) -> F64:
        """See ``Reading``."""
        cells = self.keyed(section)
        sums = np.zeros(len(cells.offsets) - 1)
        sums[cells.offsets[1:] > cells.offsets[:-1]] = cells.columns[1]
        return sums

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
