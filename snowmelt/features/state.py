"""The bytes of a state: one value per (entity, view), the contract between Python's folds and Redis's merges.

All integers and floats are big-endian. For each section of the compiled view, in the view's order::

    u32 length in bytes | that many bytes of records

An absent section has length 0, so the state of nothing is 4 zero bytes a section. The records, by kind of section:

======== ===== =================================================== =====================================
kind     bytes record                                              order, and merge of equal keys
======== ===== =================================================== =====================================
tiles       16 u64 tile = time_ms // hop_ms (lifetime: 0), f64     by tile; add, min or max
decayed     24 u64 key, u64 time of reference in ms, f64 sum       by key; summed at the later time
newest      16 u64 (time_ms << 8) | type code, u64 key             by the 16 bytes; one a key, the greatest
register    16 u64 register * 64 + rank, f64 time in ms            by the first; the later time
last      16+n u64 time in ms, u64 offset, n bytes of payload      one record; the greater bytes win
======== ===== =================================================== =====================================

What a merge drops besides: tiles with tile < newest tile - keep_tiles (where hop_ms > 0); all but the ``limit``
greatest of newest; a register's rank whose time is not later than that of each higher rank of the register. ``last``
sections end a view, so every other section stands on a multiple of 4 bytes.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.kinds import FIXED, last
from snowmelt.features.ragged import I64, Array, Ragged, offsets_of, ranges
from snowmelt.features.sections import Group

_PAD = tuple(bytes(-n % 4) for n in range(4))


def pack(groups: Sequence[Group], parts: Sequence[Ragged], size: int) -> list[bytes]:
    """The bytes of ``size`` states out of each group's records (cell = row * sections of the group + section)."""
    fixed = [(g, p) for g, p in zip(groups, parts, strict=True) if g.kind in FIXED]
    lengths = np.concatenate(
        [np.diff(p.offsets).reshape(size, len(g.sections)) * (2 * FIXED[g.kind].WORDS) for g, p in fixed]
        or [np.empty((size, 0), np.int64)],
        axis=1,
    )
    starts = offsets_of((lengths + 1).ravel())
    buffer = np.empty(starts[-1], ">u4")
    places = starts[:-1].reshape(lengths.shape)
    buffer[places] = lengths * 4
    for group, part in fixed:
        own = slice(group.start, group.stop)
        index = ranges((places[:, own] + 1).ravel(), lengths[:, own].ravel())
        buffer[index] = FIXED[group.kind].encode(part.columns).astype(">u8").view(">u4").ravel()
    blob, bounds = buffer.tobytes(), (starts[:: max(lengths.shape[1], 1)] * 4).tolist()
    states = [blob[a:b] for a, b in pairwise(bounds)] if fixed else [b""] * size
    for group, part in zip(groups, parts, strict=True):
        if group.kind not in FIXED:
            states = _append_last(states, part, len(group.sections))
    return states


def _append_last(states: list[bytes], part: Ragged, width: int) -> list[bytes]:
    tails = [bytes(4)] * (len(states) * width)
    times, offsets, payloads = part.columns
    for cell, time, offset, payload in zip(
        part.cells.tolist(), times.tolist(), offsets.tolist(), payloads, strict=True
    ):
        tails[cell] = struct.pack(">IQQ", last.HEAD_BYTES + len(payload), time, offset) + payload
    return [s + b"".join(tails[i * width : (i + 1) * width]) for i, s in enumerate(states)]


def unpack(groups: Sequence[Group], states: Sequence[bytes | None]) -> list[Ragged]:
    """Each group's records out of the bytes of n states; None and empty bytes are the state of nothing.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where a state does not have these sections.
    """
    fixed = sum(len(g.sections) for g in groups if g.kind in FIXED)
    empty = bytes(4 * (groups[-1].stop if groups else 0))
    full = [s or empty for s in states]
    varied = bool(groups) and groups[-1].kind not in FIXED
    padded = [s + _PAD[len(s) % 4] for s in full] if varied else full
    bounds = offsets_of(np.fromiter(map(len, padded), np.int64, len(padded)))
    if (bounds % 4).any():
        raise mismatch()
    words = np.frombuffer(b"".join(padded), ">u4")
    starts, lengths = _walk(words, bounds // 4, fixed, exact=not varied)
    parts = [
        _records(group, words, starts[:, group.start : group.stop], lengths[:, group.start : group.stop])
        for group in groups
        if group.kind in FIXED
    ]
    if varied:
        tail = (starts[:, -1] + lengths[:, -1] - bounds[:-1] // 4) * 4 if fixed else np.zeros(len(full), np.int64)
        parts.append(_last_records(full, tail.tolist(), len(groups[-1].sections)))
    return parts


def _walk(words: Array, bounds: I64, sections: int, *, exact: bool) -> tuple[I64, I64]:
    """Where each state's sections start and how long they are, in words: int64[n, sections] twice."""
    starts = np.empty((len(bounds) - 1, sections), np.int64)
    lengths = np.empty_like(starts)
    place, stop = bounds[:-1].copy(), bounds[1:]
    for section in range(sections):
        if (place >= stop).any():
            raise mismatch()
        length = words[place].astype(np.int64)
        starts[:, section] = place + 1
        lengths[:, section] = length >> 2
        place += 1 + (length >> 2)
        if (length & 7).any():
            raise mismatch()
    if (place > stop).any() or (exact and (place != stop).any()):
        raise mismatch()
    return starts, lengths


def _records(group: Group, words: Array, starts: I64, lengths: I64) -> Ragged:
    kind = FIXED[group.kind]
    counts, rest = np.divmod(lengths.ravel(), 2 * kind.WORDS)
    if rest.any():
        raise mismatch()
    picked = words[ranges(starts.ravel(), lengths.ravel())].view(">u8").astype(np.uint64)
    return Ragged(offsets_of(counts), kind.decode(picked.reshape(-1, kind.WORDS)))


def _last_records(states: Sequence[bytes], places: list[int], width: int) -> Ragged:
    held: list[bool] = []
    heads: list[tuple[int, ...]] = []
    payloads: list[bytes] = []
    for state, start in zip(states, places, strict=True):
        place = start
        for _ in range(width):
            length = int.from_bytes(state[place : place + 4], "big")
            place += 4 + length
            held.append(length > 0)
            if length:
                if length < last.HEAD_BYTES or place > len(state):
                    raise mismatch()
                heads.append(struct.unpack_from(">qq", state, place - length))
                payloads.append(state[place - length + last.HEAD_BYTES : place])
        if place != len(state):
            raise mismatch()
    return last.of_records(held, heads, payloads)


def mismatch() -> SnowmeltError:
    """The error that says that other views wrote a state."""
    return SnowmeltError(
        Reason.FEATURES_MISMATCH, "state was written by other compiled views: rebuild it with `snowmelt rebuild online`"
    )
