"""Events off the wire as columns: protobuf read by numpy, the n-th field of all records at once.

What a well-behaved writer sends is read here; a record with anything else in it (an unknown field, a tag of two bytes,
a length that does not fit, bytes that are no UTF-8, a text given twice) is called odd and left to the protobuf library.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.descriptor import FieldDescriptor

from services.ingest.batch import I64, Mask
from services.ingest.events import OPTIONAL, TEXTS, EventColumns, Lists
from snowmelt.api.events.v1 import events_pb2

MAX_FIELDS = 48
"""Of one record: those with more, repeated ones counted singly, are odd."""
MAX_BYTES = 2**31 - 1
"""Of all records together, as Arrow's strings have it; beyond it all are odd."""
_PAD = bytes(16)
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_WIRE = {
    FieldDescriptor.TYPE_INT64: _VARINT,
    FieldDescriptor.TYPE_INT32: _VARINT,
    FieldDescriptor.TYPE_DOUBLE: _FIXED64,
    FieldDescriptor.TYPE_STRING: _BYTES,
    FieldDescriptor.TYPE_MESSAGE: _BYTES,
}
_TIME = "event_time_ms"
_REPEATED = ("context", "categories")
_FIELDS: dict[int, tuple[str, int]] = {
    each.number << 3 | _WIRE[each.type]: (each.name, _WIRE[each.type])
    for each in events_pb2.Event.DESCRIPTOR.fields
    if each.name in (*TEXTS, *OPTIONAL, _TIME, *_REPEATED)
}
"""By tag."""
_KEY, _VALUE = 1 << 3 | _BYTES, 2 << 3 | _BYTES


@dataclass
class _Found:
    """Pieces of a repeated field in the order of reading: the row and the place of each."""

    rows: list[I64] = field(default_factory=list)
    begins: list[I64] = field(default_factory=list)
    ends: list[I64] = field(default_factory=list)

    def add(self, rows: I64, begins: I64, ends: I64) -> None:
        self.rows.append(rows)
        self.begins.append(begins)
        self.ends.append(ends)

    def sorted(self) -> tuple[I64, I64, I64]:
        """In the order of the bytes."""
        if not self.rows:
            return (np.empty(0, np.int64),) * 3
        begins = np.concatenate(self.begins)
        order = np.argsort(begins)
        return np.concatenate(self.rows)[order], begins[order], np.concatenate(self.ends)[order]


def read_events(values: Sequence[bytes]) -> tuple[EventColumns, Mask]:
    """The columns of n records, and which are odd (bool[n]): the columns have nothing of these."""
    if sum(map(len, values)) + len(_PAD) > MAX_BYTES:
        return _Reader([b""] * len(values)).columns(), np.ones(len(values), np.bool_)
    reader = _Reader(values)
    columns = reader.columns()
    if reader.odd.any():
        columns = _Reader([b"" if odd else value for odd, value in zip(reader.odd, values, strict=True)]).columns()
    return columns, reader.odd


class _Reader:
    """n records, read once; what the columns hold of those in ``odd`` is rubbish."""

    def __init__(self, values: Sequence[bytes]) -> None:
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        self._blob = b"".join((*values, _PAD))
        self._data = np.frombuffer(self._blob, np.uint8)
        self._stops = np.cumsum(sizes)
        starts = self._starts = self._stops - sizes
        self.odd: Mask = np.zeros(len(values), np.bool_)
        self._texts = {name: (starts.copy(), starts.copy()) for name in TEXTS}
        self._numbers: dict[str, npt.NDArray[Any]] = {name: np.zeros(len(values)) for name in OPTIONAL}
        self._present: dict[str, Mask] = {name: np.zeros(len(values), np.bool_) for name in OPTIONAL}
        self._numbers["position"] = np.zeros(len(values), np.int32)
        self._numbers[_TIME] = np.zeros(len(values), np.int64)
        self._lists = {name: _Found() for name in _REPEATED}
        self._read(starts)

    def columns(self) -> EventColumns:
        """The columns of all records; marks as odd what only shows now."""
        every = np.arange(len(self.odd))
        texts = {name: self._strings(every, *place) for name, place in self._texts.items()}
        return EventColumns(
            texts=texts,
            numbers={name: (self._numbers[name], self._present[name]) for name in OPTIONAL},
            times_ms=self._numbers[_TIME],
            context=self._context(),
            categories=self._categories(),
        )

    def _read(self, starts: I64) -> None:
        rows, at = np.flatnonzero(self._stops > starts), starts
        at = at[rows]
        for _ in range(MAX_FIELDS):
            if not len(rows):
                return
            tags = self._data[at]
            after = np.full(len(rows), -1, np.int64)
            for tag in np.flatnonzero(np.bincount(tags, minlength=256)).tolist():
                some = np.flatnonzero(tags == tag)
                if tag in _FIELDS:
                    after[some] = self._field(*_FIELDS[tag], rows[some], at[some] + 1)
            fits = (after >= 0) & (after <= self._stops[rows])
            self.odd[rows[~fits]] = True
            more = fits & (after < self._stops[rows])
            rows, at = rows[more], after[more]
        self.odd[rows] = True

    def _field(self, name: str, wire: int, rows: I64, at: I64) -> I64:
        """Keeps one field of some rows, its value beginning at ``at``; where it ends, -1 where it is not understood."""
        if wire == _FIXED64:
            self._numbers[name][rows] = self._data[at[:, None] + np.arange(8)].view("<f8").ravel()
            self._present[name][rows] = True
            return at + 8
        number, after = self._varint(at)
        if wire == _VARINT:
            self._numbers[name][rows] = number.astype(np.uint32).view(np.int32) if name == "position" else number
            if name in self._present:
                self._present[name][rows] = True
            return after
        fits = (after >= 0) & (number <= self._stops[rows] - after)
        end = np.where(fits, after + number, -1)
        if name in _REPEATED:
            self._lists[name].add(rows[fits], after[fits], end[fits])
        else:
            begins, ends = self._texts[name]
            fits &= begins[rows] == self._starts[rows]  # protobuf looks at each, though the last one stands
            end = np.where(fits, end, -1)
            begins[rows[fits]], ends[rows[fits]] = after[fits], end[fits]
        return end

    def _varint(self, at: I64) -> tuple[I64, I64]:
        """Numbers and where they end; -1 for those of more than nine bytes."""
        octets = self._data[at].astype(np.int64)
        number, after = octets & 0x7F, at + 1
        going = np.flatnonzero(octets >= 0x80)
        for shift in range(7, 63, 7):
            if not len(going):
                return number, after
            octets = self._data[np.minimum(after[going], len(self._data) - 1)].astype(np.int64)
            number[going] |= (octets & 0x7F) << shift
            after[going] += 1
            going = going[octets >= 0x80]
        after[going] = -1
        return number, after

    def _strings(self, rows: I64, begins: I64, ends: I64) -> pa.StringArray:
        """The strings at places that lie one after the other; rows of those that are no UTF-8 are odd."""
        bounds = np.empty(2 * len(begins) + 1, np.int32)
        bounds[:-1:2], bounds[1::2], bounds[-1] = begins, ends, len(self._blob)
        pieces = pa.StringArray.from_buffers(2 * len(begins), pa.py_buffer(bounds), pa.py_buffer(self._blob))
        found = pieces.take(pa.array(np.arange(0, 2 * len(begins), 2)))
        try:
            found.validate(full=True)
        except pa.ArrowInvalid:
            self.odd[rows[[not _is_text(octets) for octets in found.cast(pa.binary()).to_pylist()]]] = True
        return found

    def _categories(self) -> Lists:
        rows, begins, ends = self._lists["categories"].sorted()
        return Lists(np.bincount(rows, minlength=len(self.odd)), (self._strings(rows, begins, ends),))

    def _context(self) -> Lists:
        """Pairs by row and key; a row with a key that comes twice, or a pair that is not key and value, is odd."""
        rows, begins, ends = self._lists["context"].sorted()
        sizes, keys = self._varint(begins + 1)
        keys_end = np.clip(keys + np.minimum(sizes, len(self._blob)), 0, ends)
        sizes, values = self._varint(np.minimum(keys_end + 1, len(self._data) - 1))
        whole = (begins < ends) & (self._data[begins] == _KEY) & (keys > 0)
        whole &= (self._data[keys_end] == _VALUE) & (values > 0) & (values <= ends) & (sizes == ends - values)
        self.odd[rows[~whole]] = True
        rows, keys, keys_end, values, ends = (each[whole] for each in (rows, keys, keys_end, values, ends))
        pairs = pa.table(
            {"row": rows, "key": self._strings(rows, keys, keys_end), "value": self._strings(rows, values, ends)}
        )
        if (np.diff(rows) == 0).any():
            pairs = pairs.take(pc.sort_indices(pairs, [("row", "ascending"), ("key", "ascending")]))
            key = pairs["key"].combine_chunks()
            again = pc.equal(key[1:], key[:-1]).to_numpy(zero_copy_only=False).astype(np.bool_) & (np.diff(rows) == 0)
            self.odd[rows[1:][again]] = True
        flat = tuple(pairs[name].combine_chunks() for name in ("key", "value"))
        return Lists(np.bincount(rows, minlength=len(self.odd)), flat)


def _is_text(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
