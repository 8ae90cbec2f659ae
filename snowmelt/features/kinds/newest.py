"""The newest N distinct keys, each with its latest time and the type of that event.

A record is 16 bytes: u64 head ((time_ms << 8) | type code), u64 key. Sorted ascending by those 16 bytes, distinct by
key (the greatest head wins), the N greatest kept.
"""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.ragged import I64, U64, Array, Ragged, lasts, of_cells, portions, ranges
from snowmelt.features.sections import Section

WORDS = 2
TYPE_BITS = 8


def heads(times_ms: Array, types: Array) -> U64:
    """uint64[n]: time and type in one number; a row without a type counts as code 0."""
    return (times_ms.astype(np.uint64) << np.uint64(TYPE_BITS)) | np.maximum(types, 0).astype(np.uint64)


def reduce(sections: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Brings records (head uint64, key uint64) of any order into the form of a state."""
    head, keys = columns
    if not len(head):
        return cells, columns
    order = np.lexsort((head, keys, cells))
    order = order[lasts(cells[order], keys[order])]
    order = order[np.lexsort((keys[order], head[order], cells[order]))]
    cells, head, keys = cells[order], head[order], keys[order]
    ends = np.flatnonzero(lasts(cells))
    runs = np.diff(np.append(-1, ends))
    keep = np.repeat(ends, runs) - np.arange(len(cells)) < sections[0].limit
    return cells[keep], (head[keep], keys[keep])


def finish(state: Ragged, as_of_ms: int) -> Ragged:
    """Columns key uint64, time int64, type uint8: newest first, without what is newer than the instant."""
    bound = np.uint64(max(as_of_ms + 1, 0)) << np.uint64(TYPE_BITS)
    past = state.columns[0] < bound
    seen = state if past.all() else state.where(past)
    lengths = np.diff(seen.offsets)
    order = np.repeat(seen.offsets[1:] + seen.offsets[:-1], lengths) - 1 - np.arange(len(seen.columns[0]))
    head, keys = seen.columns
    return Ragged(seen.offsets, columns(head[order], keys[order]))


def columns(head: U64, keys: U64) -> tuple[Array, ...]:
    """Key uint64, time int64, type uint8 of records (head, key)."""
    return keys, (head >> np.uint64(TYPE_BITS)).astype(np.int64), (head & np.uint64(255)).astype(np.uint8)


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 2]: the records as words."""
    return np.stack(columns, axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (head uint64, key uint64) of uint64[R, 2]."""
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])


class History:
    """All records in order of entity and time, ready to give the newest different keys up to any place."""

    def __init__(self, section: Section, codes: I64, columns: tuple[Array, ...]) -> None:
        head, keys = columns
        order = np.lexsort((keys, head, codes))
        self._head, self._keys, self._limit = head[order], keys[order], section.limit
        by_key = np.lexsort((self._keys, codes))
        self._next = np.full(len(order), len(order))
        again = ~lasts(codes[by_key], self._keys[by_key])
        self._next[by_key[again]] = by_key[np.flatnonzero(again) + 1]

    def latest(self, start: I64, stop: I64) -> Ragged:
        """n cells with the columns of ``finish``: the newest different keys of records [start, stop), newest first.

        A record is its key's latest before a place where the key's next record is not before that place. So each
        request looks back from its place, twice as far every time, until it has found enough or is at the start.
        """
        found: list[tuple[I64, I64]] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        todo, reach = np.flatnonzero(stop > start), 2 * self._limit
        while len(todo):
            short = []
            for part in portions(np.minimum(stop[todo] - start[todo], reach)):
                asked = todo[part]
                begin = np.maximum(start[asked], stop[asked] - reach)
                width = stop[asked] - begin
                record, cell = ranges(begin, width), np.repeat(np.arange(len(asked)), width)
                latest = self._next[record] >= stop[asked][cell]
                record, cell = record[latest], cell[latest]
                counts = np.bincount(cell, minlength=len(asked))
                done = (counts >= self._limit) | (begin == start[asked])
                short.append(asked[~done])
                # How many of the request's records come after this one.
                behind = np.cumsum(counts)[cell] - 1 - np.arange(len(cell))
                keep = done[cell] & (behind < self._limit)
                found.append((asked[cell[keep]], record[keep]))
            todo, reach = np.concatenate(short), reach * 2
        cells, record = (np.concatenate(c) for c in zip(*found, strict=True))
        order = np.lexsort((-record, cells))
        record = record[order]
        return of_cells(cells[order], len(start), columns(self._head[record], self._keys[record]))
