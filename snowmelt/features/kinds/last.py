"""The newest payload: a number, or the bytes of a catalogue change.

A section is empty or one record: u64 time in ms, u64 offset, then the payload (8 bytes, a big-endian f64, for a
number). Of two records the one with the greater bytes wins: the head decides, and where it is equal the payload does.
"""

import struct
from collections.abc import Sequence

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.ragged import F64, I64, Array, Ragged, lasts, offsets_of
from snowmelt.features.sections import Section

HEAD_BYTES = 16

_ABSENT = struct.pack(">d", float("nan"))


def reduce(_: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Keeps of records (time int64, offset int64, payload object) the greatest of each cell."""
    times, offsets, payloads = columns
    if not len(times):
        return cells, columns
    order = np.lexsort((ranks(payloads), offsets, times, cells))
    order = order[lasts(cells[order])]
    return cells[order], (times[order], offsets[order], payloads[order])


def ranks(payloads: Array) -> I64:
    """int64[n]: payloads (objects) by their place in bytewise order."""
    order: I64 = np.unique(payloads, return_inverse=True)[1]
    return order


def boxed(payloads: Sequence[bytes]) -> Array:
    """object[n] of payloads; numpy would cut trailing zeros off bytes of its own."""
    column = np.empty(len(payloads), object)
    column[:] = payloads
    return column


def boxed_numbers(values: F64) -> Array:
    """object[n]: each number as the 8 bytes of a big-endian f64."""
    blob = values.astype(">f8").tobytes()
    return boxed([blob[place : place + 8] for place in range(0, len(blob), 8)])


def records(blob: bytes, places: Sequence[int], sizes: Sequence[int]) -> Ragged:
    """The columns of sections that begin at such places and are so many bytes long: n cells of none or one record.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where a time or an offset is none.
    """
    held = [(place, size) for place, size in zip(places, sizes, strict=True) if size]
    heads = [struct.unpack_from(">qq", blob, place) for place, _ in held]
    payloads = [blob[place + HEAD_BYTES : place + size] for place, size in held]
    return of_records([size > 0 for size in sizes], heads, payloads)


def of_records(held: Sequence[bool], heads: Sequence[tuple[int, ...]], payloads: Sequence[bytes]) -> Ragged:
    """n cells that hold one record or none: its time and offset, and its payload.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where a time or an offset is none.
    """
    columns = np.array(heads, np.int64).reshape(-1, 2)
    if (columns < 0).any():
        raise SnowmeltError(Reason.FEATURES_MISMATCH, "a state holds a time or an offset beyond all there are")
    return Ragged(offsets_of(np.array(held, np.int64)), (columns[:, 0], columns[:, 1], boxed(payloads)))


def numbers(payloads: Sequence[bytes | None]) -> F64:
    """float64[n]: the number of each payload, NaN where there is none."""
    return np.frombuffer(b"".join(p or _ABSENT for p in payloads), ">f8").astype(np.float64)


def finish(state: Ragged, as_of_ms: int) -> list[bytes | None]:
    """The payload of each cell; None where there is none at or before the instant."""
    times, _, payloads = state.columns
    known: list[bytes | None] = [None] * (len(state.offsets) - 1)
    for cell, time, payload in zip(state.cells.tolist(), times.tolist(), payloads, strict=True):
        if time <= as_of_ms:
            known[cell] = payload
    return known


class History:
    """All records in order of entity and time, ready to give the last one before any place."""

    def __init__(self, _: Section, codes: I64, columns: tuple[Array, ...]) -> None:
        times, offsets, payloads = columns
        self._payloads = payloads[np.lexsort((ranks(payloads), offsets, times, codes))]

    def newest(self, start: I64, stop: I64) -> list[bytes | None]:
        """The payload of the last of records [start, stop); None where there are none."""
        known: list[bytes | None] = [None] * len(start)
        for request in np.flatnonzero(stop > start).tolist():
            known[request] = self._payloads[stop[request] - 1]
        return known
