"""Events off the wire as columns: protobuf read side by side, in one pass over the bytes.

What a well-behaved writer sends is read here: fields by rising number, as protobuf libraries write them. A record with
anything else in it (an unknown field, a length that does not fit, bytes that are no UTF-8, a text given twice) is odd,
and left to the protobuf library.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.descriptor import FieldDescriptor

from services.ingest.batch import I64, Mask
from services.ingest.events import OPTIONAL, TEXTS, EventColumns, Lists
from services.ingest.wire_scan import DOUBLE, PAD, PIECE, TEXT, VARINT, Field, pairs, scan
from snowmelt.api.events.v1 import events_pb2

MAX_PIECES = 32
"""Of one list of a record: those with more are odd."""
MAX_BYTES = 2**31 - 1 - PAD
"""Of all records together, as Arrow's strings have it; beyond it all are odd."""
_KINDS = {
    FieldDescriptor.TYPE_INT64: (0, VARINT),
    FieldDescriptor.TYPE_INT32: (0, VARINT),
    FieldDescriptor.TYPE_DOUBLE: (1, DOUBLE),
    FieldDescriptor.TYPE_STRING: (2, TEXT),
}
"""By type of a field its wire type and kind."""
_NUMBERS = (*OPTIONAL, "event_time_ms")
_LISTS = ("context", "categories")


def _known() -> Iterator[Field]:
    for each in sorted(events_pb2.Event.DESCRIPTOR.fields, key=lambda field: field.number):
        names = next((names for names in (_LISTS, TEXTS, _NUMBERS) if each.name in names), None)
        if names is None:
            raise ValueError(
                f"{each.name} of Event is read into no column: name it in events.py, or here among the lists"
            )
        wire, kind = (2, PIECE) if names is _LISTS else _KINDS[each.type]
        tag = each.number << 3 | wire
        if tag > 0x7F:
            raise ValueError(f"{each.name} has a tag of two bytes; only fields up to 15 are read here")
        yield Field(tag, kind, names.index(each.name))


_FIELDS = tuple(_known())


def read_events(values: Sequence[bytes]) -> tuple[EventColumns, Mask]:
    """The columns of n records, and which are odd (bool[n]): the columns have nothing of these."""
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    if (sizes + 1).sum() > MAX_BYTES:
        return _Reader([b""] * len(values), np.zeros_like(sizes)).columns(), np.ones(len(values), np.bool_)
    reader = _Reader(values, sizes)
    columns = reader.columns()
    if reader.odd.any():
        plain = [b"" if odd else value for odd, value in zip(reader.odd, values, strict=True)]
        columns = _Reader(plain, np.where(reader.odd, 0, sizes)).columns()
    return columns, reader.odd


class _Reader:
    """n records, read once; what the columns hold of those in ``odd`` is rubbish."""

    def __init__(self, values: Sequence[bytes], sizes: I64) -> None:
        self._data = np.frombuffer(b"\0".join((*values, bytes(PAD))), np.uint8)
        stops = np.cumsum(sizes + 1) - 1
        self._found = scan(self._data, stops - sizes, stops, _FIELDS, MAX_PIECES)
        self.odd: Mask = self._found.odd

    def columns(self) -> EventColumns:
        """The columns of all records; marks as odd what only shows now."""
        found, every = self._found, np.arange(len(self.odd))
        numbers: dict[str, tuple[npt.NDArray[Any], Mask]] = {}
        for name, values, present in zip(OPTIONAL, found.numbers, found.present, strict=False):
            kind = np.dtype(np.int32) if name == "position" else np.dtype(np.float64)
            numbers[name] = (values.astype(kind) if name == "position" else values.view(kind)), present
        return EventColumns(
            texts={name: self._strings(every, *place) for name, place in zip(TEXTS, found.texts, strict=True)},
            numbers=numbers,
            times_ms=found.numbers[-1],
            context=self._context(),
            categories=self._categories(),
        )

    def _strings(self, rows: I64, begins: I64, ends: I64) -> pa.StringArray:
        """The strings at some places in the order of the bytes; rows of those that are no UTF-8 are odd."""
        bounds = np.empty(2 * len(begins) + 1, np.int32)
        bounds[:-1:2], bounds[1::2], bounds[-1] = begins, ends, len(self._data)
        every_other = pa.array(np.arange(0, 2 * len(begins), 2, dtype=np.int32))  # between them lies what is no text
        laid = pa.StringArray.from_buffers(2 * len(begins), pa.py_buffer(bounds), pa.py_buffer(self._data))
        found = laid.take(every_other)
        try:
            found.validate(full=True)
        except pa.ArrowInvalid:
            self.odd[rows[[not _is_text(each) for each in found.cast(pa.binary()).to_pylist()]]] = True
        return found

    def _list(self, name: str) -> tuple[I64, I64, I64]:
        """Row, begin and end of each piece of a list, in the order of the bytes."""
        pieces = self._found.pieces
        rows, _, begins, ends = pieces[pieces[:, 1] == _LISTS.index(name)].T
        return rows, begins, ends

    def _categories(self) -> Lists:
        rows, begins, ends = self._list("categories")
        return Lists(np.bincount(rows, minlength=len(self.odd)), (self._strings(rows, begins, ends),))

    def _context(self) -> Lists:
        """Pairs by row and key; a row with a key that comes twice, or a pair that is not key and value, is odd."""
        rows, begins, ends = self._list("context")
        places: I64 = pairs(self._data, begins, ends)
        whole = places[:, 0] >= 0
        self.odd[rows[~whole]] = True
        rows, ends = rows[whole], ends[whole]
        keys_end, keys, values = places[whole].T
        flat = self._strings(rows, keys, keys_end), self._strings(rows, values, ends)
        if (np.diff(rows) == 0).any():
            table = pa.table({"row": rows, "key": flat[0], "value": flat[1]})
            table = table.take(pc.sort_indices(table, [("row", "ascending"), ("key", "ascending")]))
            flat = table["key"].combine_chunks(), table["value"].combine_chunks()
            again = pc.equal(flat[0][1:], flat[0][:-1]).to_numpy(zero_copy_only=False).astype(np.bool_)
            self.odd[rows[1:][again & (np.diff(rows) == 0)]] = True
        return Lists(np.bincount(rows, minlength=len(self.odd)), flat)


def _is_text(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
