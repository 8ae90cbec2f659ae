"""The bytes of many protobuf records in one pass, compiled: where each field lies. ``wire.py`` says what is odd.

Importing this module takes a second.
"""

import numba
import numpy as np

TEXT, DOUBLE, VARINT, ITEM, PAIR = range(1, 6)
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
    """Reads n records; those in ``odd`` have been read in part.

    Args:
        data: uint8, all records one after the other.
        starts, stops: int64[n], where each lies.
        kinds: int64[256, 2], by tag the kind and the place in ``out`` of its field.
        most: fields that a record may have.
        out: texts int64[t, 2, n], begin and end, at first both the record's start; numbers int64[f, n], of a double its
            bits; present bool[f, n]; odd bool[n].

    Returns:
        Items of lists as int64[p, 3], row, begin, end, and pairs as int64[q, 5], row, key's begin and end, value's.
    """
    texts, numbers, present, odd = out
    items, pairs = np.empty((len(starts) + 1, 3), np.int64), np.empty((64, 5), np.int64)
    found, paired = 0, 0
    for row in range(len(starts)):
        at, stop = starts[row], stops[row]
        fields = 0
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
                bits = np.int64(0)
                for k in range(8):
                    bits |= np.int64(data[at + k]) << (8 * k)
                numbers[which, row], present[which, row] = bits, True
                at += 8
                continue
            size, at = _varint(data, at, stop)
            if at < 0:
                break
            if kind == VARINT:
                numbers[which, row], present[which, row] = size, True
                continue
            end = at + size
            if size > stop - at:
                break
            if kind == TEXT:
                if texts[which, 0, row] != starts[row]:  # protobuf looks at each, though the last one stands
                    break
                texts[which, 0, row], texts[which, 1, row] = at, end
            elif kind == ITEM:
                if found == len(items):
                    items = _longer(items)
                items[found, 0], items[found, 1], items[found, 2] = row, at, end
                found += 1
            else:
                key, key_end, value = _pair(data, at, end)
                if value < 0:
                    break
                if paired == len(pairs):
                    pairs = _longer(pairs)
                pairs[paired, 0], pairs[paired, 1], pairs[paired, 2] = row, key, key_end
                pairs[paired, 3], pairs[paired, 4] = value, end
                paired += 1
            at = end
        else:
            odd[row] = False
    return items[:found], pairs[:paired]


@numba.njit(nogil=True, cache=True)
def _pair(data, at, end):  # type: ignore[no-untyped-def]
    """Where the key begins and ends and the value begins; -1 where it is not a key and a value and nothing else."""
    if at >= end or data[at] != _KEY:
        return 0, 0, -1
    size, key = _varint(data, at + 1, end)
    if key < 0 or size >= end - key or data[key + size] != _VALUE:
        return 0, 0, -1
    rest, value = _varint(data, key + size + 1, end)
    return key, key + size, value if value >= 0 and rest == end - value else -1


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
