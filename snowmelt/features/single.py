"""One online state, finished at one instant: read where it stands, without the bookkeeping that many states need."""

import struct
from functools import cached_property

import numpy as np

from snowmelt.features import state
from snowmelt.features.kinds import decayed, last, newest
from snowmelt.features.plan import Plan
from snowmelt.features.ragged import F64, Array, Ragged
from snowmelt.features.reading import OnlineReading

_DECAYED = struct.Struct(">Qqd")


class SingleReading:
    """``Reading`` of one state; what ``OnlineReading`` gives of it, in less than half the time.

    Args:
        packed: empty for the state of nothing.

    Raises:
        SnowmeltError: FEATURES_MISMATCH, here or when a section is read, where the state is not of the plan's sections.
    """

    def __init__(self, plan: Plan, packed: bytes, as_of_ms: int) -> None:
        self._plan, self._packed, self._as_of_ms = plan, packed, as_of_ms
        self._places = _walk(plan, packed) if packed else [(0, 0)] * len(plan.sections)

    def tiles(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        return self._numbers.tiles(section, window_ms)

    def distinct(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        return self._numbers.distinct(section, window_ms)

    def number(self, section: int) -> F64:
        """See ``Reading``."""
        return self._numbers.number(section)

    def decayed(self, section: int) -> F64:
        """See ``Reading``."""
        place, size = self._places[section]
        if not size:
            return np.zeros(1)
        if size != _DECAYED.size:
            raise state.mismatch()
        _, time_ms, total = _DECAYED.unpack_from(self._packed, place)
        half_life_ms = self._plan.sections[section].half_life_ms
        return decayed.finish(half_life_ms, np.array([time_ms]), np.array([total]), self._as_of_ms)

    def keyed(self, section: int) -> Ragged:
        """See ``Reading``."""
        keys, times, sums = self._records(section, decayed.WORDS)
        half_life_ms = self._plan.sections[section].half_life_ms
        weights = decayed.finish(half_life_ms, times.view(np.int64), sums.view(np.float64), self._as_of_ms)
        return _cell(keys, weights)

    def newest(self, section: int) -> Ragged:
        """See ``Reading``."""
        head, keys = self._records(section, newest.WORDS)[:, ::-1]
        bound = max(self._as_of_ms + 1, 0) << newest.TYPE_BITS
        if len(head) and int(head[0]) >= bound:
            past = head < np.uint64(bound)
            head, keys = head[past], keys[past]
        return _cell(*newest.columns(head, keys))

    def last(self, section: int) -> list[bytes | None]:
        """See ``Reading``."""
        place, size = self._places[section]
        return last.finish(last.records(self._packed, [place], [size]), self._as_of_ms)

    def _records(self, section: int, width: int) -> Array:
        """uint64[width, R]: a section's records, column by column."""
        place, size = self._places[section]
        if size % (8 * width):
            raise state.mismatch()
        words = np.frombuffer(self._packed, ">u8", size // 8, place)
        return words.reshape(-1, width).T.astype(np.uint64, order="C")

    @cached_property
    def _numbers(self) -> OnlineReading:
        """Windows and registers, which the plan counts."""
        numbers = self._plan.numbers(self._plan.open([self._packed]), self._as_of_ms)
        return OnlineReading(self._plan, numbers.values, {}, self._as_of_ms)


def _cell(*columns: Array) -> Ragged:
    return Ragged(np.array([0, len(columns[0])]), columns)


def _walk(plan: Plan, packed: bytes) -> list[tuple[int, int]]:
    """Where each section's records begin, and how many bytes they are."""
    places, place, fixed = [], 0, plan.fixed
    for section in range(len(plan.sections)):
        size = int.from_bytes(packed[place : place + 4], "big")
        place += 4
        places.append((place, size))
        place += size
        if place > len(packed) or (size & 7 if section < fixed else 0 < size < last.HEAD_BYTES):
            raise state.mismatch()
    if place != len(packed):
        raise state.mismatch()
    return places
