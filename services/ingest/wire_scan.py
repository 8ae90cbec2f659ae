"""The bytes of many protobuf records in one pass, compiled: where each field lies. ``wire.py`` says what is odd.

Importing this module takes a second.
"""

import numba
import numpy as np

TEXT, DOUBLE, VARINT, PIECE = range(1, 5)
"""Kinds of fields, as in ``kinds``; 0 is none that is known."""
_KEY, _VALUE = 1 << 3 | 2, 2 << 3 | 2


@numba.njit(nogil=True, cache=True, inline="always")
def _varint(data, at, stop):  # type: ignore[no-untyped-def]
    """A number and where it ends; -1 where it has more than nine bytes, or ends beyond ``stop``."""
    number, shift = np.int64(0), 0
    while at < stop and shift < 63:
        octet = np.int64(data[at])
        number |= (octet & 0x7F) << shift
        at += 1
        if octet < 0x80:
            return number, at
        shift += 7
    return number, -1


@numba.njit(nogil=True, cache=True)
def scan(data, starts, stops, kinds, most, out):  # type: ignore[no-untyped-def] # noqa: PLR0912, PLR0917
    """Reads n records; those in ``odd`` have been read in part. Returns the pieces of lists: int64[p, 4].

    Args:
        data: uint8, all records one after the other.
        starts, stops: int64[n], where each lies.
        kinds: int64[256, 2], by tag the kind and the place in ``out`` of its field.
        most: fields that a record may have.
        out: texts int64[t, 2, n], begin and end, at first both the record's start; numbers int64[f, n], of a double its
            bits; present bool[f, n]; odd bool[n].

    A piece is its row, its field's place, and where it begins and ends.
    """
    texts, numbers, present, odd = out
    pieces, found = np.empty((len(starts) + 1, 4), np.int64), 0
    for row in range(len(starts)):
        at, stop, fields = starts[row], stops[row], 0
        odd[row] = True  # until its end is reached
        while at < stop:
            kind, which = kinds[data[at], 0], kinds[data[at], 1]
            at += 1
            fields += 1
            if kind == 0 or fields > most:
                break
            if kind == DOUBLE:
                if at + 8 > stop:
                    break
                numbers[which, row], present[which, row] = _bits(data, at), True
                at += 8
                continue
            size, at = _varint(data, at, stop)
            if at < 0:
                break
            if kind == VARINT:
                numbers[which, row], present[which, row] = size, True
                continue
            if size > stop - at:
                break
            if kind == TEXT:
                if texts[which, 0, row] != starts[row]:  # protobuf looks at each, though the last one stands
                    break
                texts[which, 0, row], texts[which, 1, row] = at, at + size
            else:
                if found == len(pieces):
                    pieces = _longer(pieces)
                pieces[found, 0], pieces[found, 1], pieces[found, 2], pieces[found, 3] = row, which, at, at + size
                found += 1
            at += size
        else:
            odd[row] = False
    return pieces[:found]


@numba.njit(nogil=True, cache=True, inline="always")
def _bits(data, at):  # type: ignore[no-untyped-def]
    bits = np.int64(0)
    for k in range(8):
        bits |= np.int64(data[at + k]) << (8 * k)
    return bits


@numba.njit(nogil=True, cache=True)
def pairs(data, begins, ends):  # type: ignore[no-untyped-def]
    """Where the key of each piece ends, and where key and value begin: int64[n, 3]; -1 where it is not just these."""
    found = np.full((len(begins), 3), -1, np.int64)
    for row in range(len(begins)):
        at, end = begins[row], ends[row]
        if at == end or data[at] != _KEY:
            continue
        size, key = _varint(data, at + 1, end)
        if key < 0 or size >= end - key or data[key + size] != _VALUE:
            continue
        rest, value = _varint(data, key + size + 1, end)
        if value >= 0 and rest == end - value:
            found[row, 0], found[row, 1], found[row, 2] = key + size, key, value
    return found


@numba.njit(nogil=True, cache=True)
def _longer(rows):  # type: ignore[no-untyped-def]
    more = np.empty((2 * len(rows), rows.shape[1]), np.int64)
    more[: len(rows)] = rows
    return more


@numba.njit(nogil=True, cache=True)
def gather(data, begins, ends, bounds, out):  # type: ignore[no-untyped-def]
    """Puts n pieces one after the other into ``out``; ``bounds`` is int32[n + 1], where each begins there."""
    to = 0
    for row in range(len(begins)):
        bounds[row] = to
        for at in range(begins[row], ends[row]):
            out[to] = data[at]
            to += 1
    bounds[len(begins)] = to
