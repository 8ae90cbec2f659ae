"""``Reading`` out of all rows: each section's history is made once, then asked for ranges of its records."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from snowmelt.features import records
from snowmelt.features.kinds import decayed, last, newest, register, tiles
from snowmelt.features.ragged import F64, I64, Ragged, offsets_of
from snowmelt.features.rows import Rows
from snowmelt.features.sections import Section
from snowmelt.features.views import CompiledView


class Line(Protocol):
    """Rows in order of entity and time."""

    starts: I64

    def until(self, codes: I64, times_ms: I64, /) -> I64:
        """int64[n]: one past the last row of each entity at or before its time."""


class Asked:
    """n requests in order of entity and time, and their ranges of rows; the entity -1 has none."""

    def __init__(self, line: Line, codes: I64, times_ms: I64) -> None:
        self._line, self._codes, self.times_ms = line, codes, times_ms
        self.start: I64 = np.where(codes >= 0, line.starts[codes], 0)
        self.stop: I64 = self._until(times_ms)
        self._since: dict[tuple[int, int], I64] = {}

    def _until(self, times_ms: I64) -> I64:
        return np.where(self._codes >= 0, self._line.until(self._codes, times_ms), 0)

    def since(self, window_ms: int, hop_ms: int) -> I64:
        """int64[n]: the first row inside a window whose tiles are ``hop_ms`` wide; 0 is a lifetime."""
        if not window_ms:
            return self.start
        key = (window_ms, hop_ms)
        if key not in self._since:
            self._since[key] = self._until(tiles.first_tile(self.times_ms, window_ms, hop_ms) * hop_ms - 1)
        return self._since[key]


@dataclass(frozen=True)
class Kept:
    """A section's history, and how many of its records the rows before each row have (int64[rows + 1])."""

    upto: I64
    history: Any


_HISTORIES = {
    "decayed": decayed.History,
    "newest": newest.History,
    "register": register.History,
    "last": last.History,
    "tiles": tiles.History,
}


class Histories:
    """The histories of a view's sections, each made when it is first asked for."""

    def __init__(self, view: CompiledView, rows: Rows | None, codes: I64) -> None:
        """``rows`` in order of entity and time; ``codes`` int64[n], the entity of each."""
        self._view, self._rows, self._codes = view, rows, codes
        self._kept: dict[Section, Kept] = {}

    def section(self, index: int) -> Section:
        """A section of the view."""
        return self._view.sections[index]

    def of(self, index: int) -> Kept | None:
        """The history of a section; None where there are no rows at all."""
        if self._rows is None:
            return None
        section = replace(self.section(index), hop_ms=0, keep_tiles=0)
        if section not in self._kept:
            row, columns = records.of_rows(section, self._rows, self._view.event_types)
            upto = offsets_of(np.bincount(row, minlength=len(self._codes)))
            self._kept[section] = Kept(upto, _HISTORIES[section.kind](section, self._codes[row], columns))
        return self._kept[section]


class AsOfReading:
    """``Reading`` of n requests."""

    def __init__(self, histories: Histories, asked: Asked) -> None:
        self._histories, self._asked = histories, asked

    def _ranges(self, kept: Kept, window_ms: int = 0, hop_ms: int = 1) -> tuple[I64, I64]:
        return kept.upto[self._asked.since(window_ms, hop_ms)], kept.upto[self._asked.stop]

    def tiles(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        kept, own = self._histories.of(section), self._histories.section(section)
        if kept is None:
            return np.full(len(self._asked.times_ms), tiles.NEUTRAL[own.combine])
        values: F64 = kept.history.between(*self._ranges(kept, window_ms, own.hop_ms))
        return values

    def decayed(self, section: int) -> F64:
        """See ``Reading``."""
        kept = self._histories.of(section)
        if kept is None:
            return np.zeros(len(self._asked.times_ms))
        sums: F64 = kept.history.sums(*self._ranges(kept), self._asked.times_ms)
        return sums

    def keyed(self, section: int) -> Ragged:
        """See ``Reading``."""
        kept = self._histories.of(section)
        if kept is None:
            return self._nothing(np.uint64, np.float64)
        weights: Ragged = kept.history.weights(*self._ranges(kept), self._asked.times_ms)
        return weights

    def newest(self, section: int) -> Ragged:
        """See ``Reading``."""
        kept = self._histories.of(section)
        if kept is None:
            return self._nothing(np.uint64, np.int64, np.uint8)
        keys: Ragged = kept.history.latest(*self._ranges(kept))
        return keys

    def distinct(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        kept = self._histories.of(section)
        if kept is None:
            return np.zeros(len(self._asked.times_ms))
        count: F64 = kept.history.count(*self._ranges(kept, window_ms))
        return count

    def number(self, section: int) -> F64:
        """See ``Reading``."""
        return last.numbers(self.last(section))

    def last(self, section: int) -> list[bytes | None]:
        """See ``Reading``."""
        kept = self._histories.of(section)
        if kept is None:
            return [None] * len(self._asked.times_ms)
        payloads: list[bytes | None] = kept.history.newest(*self._ranges(kept))
        return payloads

    def _nothing(self, *dtypes: type) -> Ragged:
        size = len(self._asked.times_ms)
        return Ragged(np.zeros(size + 1, np.int64), tuple(np.empty(0, t) for t in dtypes))
