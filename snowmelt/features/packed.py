"""Numbers out of packed states at one instant, straight from the bytes, and for which instants they stand.

Compiled, one pass a question (``state.py`` tells the form): what nobody asks for is stepped over, and of a window's
tiles only those inside are read. ``plan.py`` says what is asked. Importing this module takes a second.
"""

from collections.abc import Sequence

import numba
import numpy as np

from snowmelt.features.kinds.last import HEAD_BYTES
from snowmelt.features.kinds.register import EMPTY, RANK_BITS, SCALE
from snowmelt.features.plan import ASKED, Numbers, Opened, Plan
from snowmelt.features.ragged import I64, U64, offsets_of
from snowmelt.features.sections import HLL_REGISTERS

ADD, MIN, MAX, DECAYED, DISTINCT, LAST = range(len(ASKED))
_RECORD_BYTES = (16, 16, 16, 24, 16, 24)
_WEIGHTS = np.exp2(-np.arange(64.0))
_PAD = tuple(bytes(-n % 4) for n in range(4))
_END = bytes(8)  # so that words may be read in pairs up to the end
_BEFORE_ALL, _AFTER_ALL = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_ODD, _EVEN = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
_0, _8, _16, _32 = np.uint64(0), np.uint64(8), np.uint64(16), np.uint64(32)


def opened(plan: Plan, states: Sequence[bytes]) -> Opened | None:
    """n states, none of them empty; None where one does not have the plan's sections."""
    lengths = np.fromiter(map(len, states), np.int64, len(states))
    if (lengths & 3).any():
        states = [s + _PAD[len(s) % 4] for s in states]
    blob = b"".join((*states, _END))
    places = np.empty((len(plan.sections), 2, len(states)), np.int64)
    whole = _walk(np.frombuffer(blob, np.uint32), offsets_of((lengths + 3) & -4), lengths, plan.fixed, places)
    return Opened(blob, places) if whole else None


def numbers(plan: Plan, states: Opened, as_of_ms: int) -> Numbers | None:
    """The plan's columns at an instant; None where a section does not hold such records."""
    size = states.places.shape[2]
    found = Numbers(np.empty((size, plan.width)), np.empty((size, 2), np.int64))
    whole = _numbers(np.frombuffer(states.blob, np.uint32), states.places, plan.asks, as_of_ms, tuple(found))
    return found if whole else None


def records(states: Opened, section: int, width: int) -> tuple[I64, U64] | None:
    """A section's records of ``width`` numbers each: int64[n + 1] and uint64[R, width]; None where they are others."""
    places = states.places[section]
    offsets = offsets_of(places[1] // (8 * width))
    found = np.empty((offsets[-1], width), np.uint64)
    if (places[1] % (8 * width)).any():
        return None
    _copy(np.frombuffer(states.blob, np.uint32), places, found.ravel())
    return offsets, found


@numba.njit(nogil=True, cache=True)
def _numbers(words, places, asks, as_of_ms, out):  # type: ignore[no-untyped-def]
    """Answers each of ``asks`` for all rows; False where a section does not hold whole records."""
    values, spans = out
    spans[:, 0], spans[:, 1] = _BEFORE_ALL, _AFTER_ALL
    first, stop = 0, 0
    while first < len(asks):
        section, what, column = asks[first, 0], asks[first, 1], asks[first, 4]
        while stop < len(asks) and asks[stop, 0] == section:
            stop += 1
        own = places[section]
        if np.any(own[1] % _RECORD_BYTES[what] != 0):
            return False
        if what == DECAYED:
            _decayed(words, own, values[:, column], values[:, column + 1])
        elif what == LAST:
            _last(words, own, as_of_ms, (values[:, column], spans))
        elif what == DISTINCT:
            for ask in range(first, stop):
                _distinct(words, own, asks[ask, 3], as_of_ms, (values[:, asks[ask, 4]], spans))
        else:
            _windows(words, own, asks[first:stop], as_of_ms, out)
        first = stop
    return True


# What is handed an array counts who holds it, which costs more than adding up a window: so each function takes all
# rows, and the small ones take words.


@numba.njit(nogil=True, cache=True)
def _walk(words, starts, lengths, fixed, places):  # type: ignore[no-untyped-def]
    """Where each section's records begin and how long they are, in bytes; False where the sections do not fit."""
    for row in range(len(lengths)):
        place, stop = starts[row], starts[row] + lengths[row]
        for section in range(len(places)):
            if place + 4 > stop:
                return False
            word = place >> 2
            size = np.int64((_u64(words[word], words[word + 1]) << np.uint64((place & 3) * 8)) >> _32)
            places[section, 0, row], places[section, 1, row] = place + 4, size
            place += 4 + size
            if place > stop or (size & 7 if section < fixed else 0 < size < HEAD_BYTES):
                return False
        if place != stop:
            return False
    return True


@numba.njit(nogil=True, cache=True)
def _windows(words, places, asks, as_of_ms, out):  # type: ignore[no-untyped-def]
    """A section's windows, the shortest first: each goes on from the tiles of the one before, from new to old.

    A tile comes in where it begins, and falls out of a window where it began a window ago.
    """
    values, spans = out
    what, hop_ms = asks[0, 1], asks[0, 2]
    last_tile = as_of_ms // hop_ms if hop_ms else _AFTER_ALL
    first_tiles = np.zeros(len(asks), np.int64)
    for ask in range(len(asks) if hop_ms else 0):
        first_tiles[ask] = (as_of_ms - asks[ask, 3]) // hop_ms + 1
    for row in range(len(values)):
        value = np.inf if what == MIN else -np.inf if what == MAX else 0.0
        since, until = spans[row, 0], spans[row, 1]
        begin, word = places[0, row] >> 2, ((places[0, row] + places[1, row]) >> 2) - 4
        while word >= begin and np.int64(_u64(words[word], words[word + 1])) > last_tile:
            until = min(until, np.int64(_u64(words[word], words[word + 1])) * hop_ms)
            word -= 4
        if hop_ms and word >= begin:
            since = max(since, np.int64(_u64(words[word], words[word + 1])) * hop_ms)
        newest = word
        for ask in range(len(asks)):
            while word >= begin and np.int64(_u64(words[word], words[word + 1])) >= first_tiles[ask]:
                number = _f64(words[word + 2], words[word + 3])
                value = min(value, number) if what == MIN else max(value, number) if what == MAX else value + number
                word -= 4
            values[row, asks[ask, 4]] = value
            if hop_ms and word >= begin:
                since = max(since, np.int64(_u64(words[word], words[word + 1])) * hop_ms + asks[ask, 3])
            if hop_ms and word < newest:
                until = min(until, np.int64(_u64(words[word + 4], words[word + 5])) * hop_ms + asks[ask, 3])
        spans[row, 0], spans[row, 1] = since, until


@numba.njit(nogil=True, cache=True)
def _copy(words, places, out):  # type: ignore[no-untyped-def]
    done = 0
    for row in range(places.shape[1]):
        for word in range(places[0, row] >> 2, (places[0, row] + places[1, row]) >> 2, 2):
            out[done] = _u64(words[word], words[word + 1])
            done += 1


@numba.njit(nogil=True, cache=True)
def _decayed(words, places, sums, times_ms):  # type: ignore[no-untyped-def]
    for row in range(len(sums)):
        sums[row] = times_ms[row] = 0.0
        if places[1, row]:
            word = places[0, row] >> 2
            times_ms[row] = np.float64(_u64(words[word + 2], words[word + 3]))
            sums[row] = _f64(words[word + 4], words[word + 5])


@numba.njit(nogil=True, cache=True)
def _distinct(words, places, window_ms, as_of_ms, out):  # type: ignore[no-untyped-def]
    """Counts each register by the highest rank that it reached in the window; ranks ascend within a register."""
    into, spans = out
    for row in range(len(into)):
        filled, inverse, register, rank = 0, 0.0, np.int64(-1), np.int64(0)
        since, until = spans[row, 0], spans[row, 1]
        for word in range(places[0, row] >> 2, (places[0, row] + places[1, row]) >> 2, 4):
            time_ms = np.int64(_f64(words[word + 2], words[word + 3]))
            if time_ms > as_of_ms:
                until = min(until, time_ms)
                continue
            since = max(since, time_ms)
            if window_ms:
                if time_ms + window_ms <= as_of_ms:
                    since = max(since, time_ms + window_ms)
                    continue
                until = min(until, time_ms + window_ms)
            key = np.int64(_u64(words[word], words[word + 1]))
            if key >> RANK_BITS != register:
                if register >= 0:
                    filled, inverse = filled + 1, inverse + _WEIGHTS[rank]
                register = key >> RANK_BITS
            rank = key & 63
        if register >= 0:
            filled, inverse = filled + 1, inverse + _WEIGHTS[rank]
        into[row] = SCALE / (EMPTY[max(HLL_REGISTERS - filled, 0)] + inverse)
        spans[row, 0], spans[row, 1] = since, until


@numba.njit(nogil=True, cache=True)
def _last(words, places, as_of_ms, out):  # type: ignore[no-untyped-def]
    """The newest number; what stands before it may have any length, so that its bytes lie across words."""
    into, spans = out
    for row in range(len(into)):
        into[row] = np.nan
        if places[1, row]:
            word, shift = places[0, row] >> 2, np.uint64((places[0, row] & 3) * 8)
            time_ms = np.int64(_shifted(words[word], words[word + 1], words[word + 2], shift))
            if time_ms > as_of_ms:
                spans[row, 1] = min(spans[row, 1], time_ms)
            else:
                spans[row, 0] = max(spans[row, 0], time_ms)
                bits = _shifted(words[word + 4], words[word + 5], words[word + 6], shift)
                into[row] = np.int64(bits).view(np.float64)


@numba.njit(nogil=True, cache=True)
def _u64(one, other):  # type: ignore[no-untyped-def]
    """Two words of big-endian bytes as one number."""
    pair = np.uint64(one) | (np.uint64(other) << _32)
    pair = ((pair >> _8) & _ODD) | ((pair & _ODD) << _8)
    pair = ((pair >> _16) & _EVEN) | ((pair & _EVEN) << _16)
    return (pair >> _32) | (pair << _32)


@numba.njit(nogil=True, cache=True)
def _f64(one, other):  # type: ignore[no-untyped-def]
    return np.int64(_u64(one, other)).view(np.float64)


@numba.njit(nogil=True, cache=True)
def _shifted(one, other, third, shift):  # type: ignore[no-untyped-def]
    """The 8 bytes that begin ``shift`` bits after the first word does."""
    return (_u64(one, other) << shift) | (_u64(third, _0) >> (np.uint64(64) - shift)) if shift else _u64(one, other)
