"""The bytes of many protobuf records, read side by side: where each field lies. ``wire.py`` says what is odd.

All records step from field to field together, so that a step is a few operations on columns and no loop over records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.ingest.batch import I64

Octets = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

TEXT, DOUBLE, VARINT, PIECE = range(4)
"""Kinds of fields; a piece is one of a list."""
PAD = 16
"""Zero bytes after the last record: where it ends too early, they are looked at."""
_KEY, _VALUE = 1 << 3 | 2, 2 << 3 | 2
_NOWHERE = np.int64(2**62)
_GROUPS = ((1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF))
"""How groups of seven bits are joined, two by two: by how much the upper ones move, and the mask of the lower ones."""


@dataclass(frozen=True)
class Field:
    """What is known of a field.

    Attributes:
        tag: its first byte.
        kind: of the four.
        place: which one of its kind it is; doubles and varints are counted together.
    """

    tag: int
    kind: int
    place: int


@dataclass(frozen=True)
class Found:
    """Where n records have their fields.

    Attributes:
        texts: int64[t, 2, n], begin and end, in the order of the bytes also of those that a record has not.
        numbers: int64[f, n], of a double its bits.
        present: bool[f, n].
        pieces: int64[p, 4], row, field's place, begin and end; a field's are in the order of the bytes.
        odd: bool[n], what is found of these is rubbish.
    """

    texts: I64
    numbers: I64
    present: npt.NDArray[np.bool_]
    pieces: I64
    odd: npt.NDArray[np.bool_]


def scan(data: Octets, starts: I64, stops: I64, fields: Sequence[Field], most: int) -> Found:
    """Reads n records whose fields come in the order of ``fields``; all others are odd.

    Args:
        data: the records, a zero byte after each and ``PAD`` after the last.
        starts, stops: int64[n], where each lies.
        fields: by rising number.
        most: pieces of one list that a record may have.
    """
    text_count = sum(field.kind == TEXT for field in fields)
    number_count = sum(field.kind in (DOUBLE, VARINT) for field in fields)
    texts = np.empty((text_count, 2, len(starts)), np.int64)
    texts[:] = starts
    numbers = np.zeros((number_count, len(starts)), np.int64)
    present = np.zeros((number_count, len(starts)), np.bool_)
    pieces = [np.empty((0, 4), np.int64)]
    at = starts.copy()
    for field in fields:
        for _ in range(most if field.kind == PIECE else 1):
            rows = np.flatnonzero(data[at] == field.tag)  # a record at its end is at a zero byte, which is no tag
            if not len(rows):
                break
            rows, begins, ends, values = _read(data, rows, at[rows] + 1, stops[rows], field.kind)
            at[rows] = ends
            if field.kind == TEXT:
                texts[field.place, 0, rows], texts[field.place, 1, rows] = begins, ends
            elif field.kind == PIECE:
                pieces.append(np.stack((rows, np.full(len(rows), field.place), begins, ends), axis=1))
            else:
                numbers[field.place, rows], present[field.place, rows] = values, True
    found = np.concatenate(pieces)
    return Found(texts, numbers, present, found[np.argsort(found[:, 2], kind="stable")], at != stops)


def pairs(data: Octets, begins: I64, ends: I64) -> I64:
    """Where the key of each piece ends, and where key and value begin: int64[n, 3]; -1 where it is not just these."""
    sizes, keys = _varints(data, begins + 1)
    fine = (begins < ends) & (data[begins] == _KEY) & (sizes < ends - keys)
    keys_end = np.where(fine, keys + sizes, 0)
    rests, values = _varints(data, keys_end + 1)
    fine &= (data[keys_end] == _VALUE) & (rests == ends - values)
    return np.where(fine[:, None], np.stack((keys_end, keys, values), axis=1), -1)


def _read(data: Octets, rows: I64, at: I64, stops: I64, kind: int) -> tuple[I64, I64, I64, I64]:
    """Of the rows that have what they should: which these are, where it begins and ends, and numbers."""
    if kind == DOUBLE:
        values, begins = _words(data)[at].view(np.int64), at
        ends = at + 8
    else:
        values, begins = _varints(data, at)
        ends = begins if kind == VARINT else begins + values
    fine = ends <= stops
    if fine.all():
        return rows, begins, ends, values
    return rows[fine], begins[fine], ends[fine], values[fine]


def _varints(data: Octets, at: I64) -> tuple[I64, I64]:
    """Numbers of at most eight bytes and where each ends; ``_NOWHERE`` where one has more."""
    octets = data[at]
    if not (octets > 0x7F).any():
        return octets.astype(np.int64), at + 1
    words = _words(data)[at]
    last = ~words & np.uint64(0x8080808080808080)
    taken = last ^ (last - np.uint64(1))  # all bits up to the first byte that is not followed by another
    numbers = words & taken
    numbers &= np.uint64(0x7F7F7F7F7F7F7F7F)
    for shift, lower in _GROUPS:
        numbers = (numbers & np.uint64(lower)) | ((numbers & ~np.uint64(lower)) >> np.uint64(shift))
    return numbers.view(np.int64), np.where(last == 0, _NOWHERE, at + (np.bitwise_count(taken) >> 3))


def _words(data: Octets) -> U64:
    """The eight bytes from each byte on as a number."""
    return np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
