"""Duplicates: an id counts once within W offsets of a partition; a pure function of the log, and bounded in memory."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from services.ingest.batch import I64, Mask
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys

WINDOW_OFFSETS = 1_000_000

_Segment = tuple[Keys, I64]


def keys_of(ids: pa.Array | pa.ChunkedArray) -> Keys:
    """What n records are known again by: uint64[n], ``item_keys`` of their ids without a text for each."""
    named = pc.binary_join_element_wise(DEFAULT_TENANT, ids, "\0").cast(pa.binary())
    return np.fromiter(map(xxhash.xxh3_64_intdigest, named.to_pylist()), np.uint64, len(named))


class Window:
    """The ids kept among a partition's last ``size`` offsets, as sorted arrays of (64-bit key, offset): 16 bytes each.

    A record is a duplicate where the same id was kept at an earlier offset, at most ``size`` back. Asking again about
    the same offsets gives the same answer, so that a write may be tried again.
    """

    def __init__(self, size: int = WINDOW_OFFSETS) -> None:
        self.size = size
        self._segments: list[_Segment] = []
        self._newest = -1

    def keep(self, keys: Keys, offsets: I64) -> Mask:
        """bool[n]: false for duplicates; remembers the others. ``offsets`` rise."""
        if not len(offsets):
            return np.ones(0, np.bool_)
        if offsets[0] <= self._newest:
            self._forget(int(offsets[0]))
        kept = np.ones(len(keys), np.bool_)
        suspects = np.flatnonzero(self._suspects(keys))
        latest: dict[int, int] = {}
        for i, key, offset in zip(suspects.tolist(), keys[suspects].tolist(), offsets[suspects].tolist(), strict=True):
            before = latest[key] if key in latest else self._last_before(key, offset)
            if before is not None and offset - before <= self.size:
                kept[i] = False
            else:
                latest[key] = offset
        self.remember(keys[kept], offsets[kept], int(offsets[0]))
        return kept

    def remember(self, keys: Keys, offsets: I64, since: int | None = None) -> None:
        """Adds ids that were kept; what nobody asks for who is at ``since`` (else the first of them) is dropped."""
        if len(keys) == 0:
            return
        order = np.argsort(keys, kind="stable")
        self._segments.append((keys[order], offsets[order]))
        self._newest = max(self._newest, int(offsets.max()))
        oldest = (int(offsets.min()) if since is None else since) - self.size
        while len(self._segments) > 1 and len(self._segments[-2][0]) < 2 * len(self._segments[-1][0]):
            self._segments[-2:] = [_join(self._segments[-2], self._segments[-1], oldest)]

    def _forget(self, first: int) -> None:
        """Drops what was remembered of records that are judged again: their write did not come about."""
        parts = ((keys[offsets < first], offsets[offsets < first]) for keys, offsets in self._segments)
        self._segments = [part for part in parts if len(part[0])]
        self._newest = first - 1

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._segments)

    def _suspects(self, keys: Keys) -> Mask:
        found = np.zeros(len(keys), np.bool_)
        for known, _ in self._segments:
            place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            found |= known[place] == keys
        order = np.argsort(keys, kind="stable")
        again = order[1:][keys[order][1:] == keys[order][:-1]]
        return found | np.isin(keys, keys[again]) if len(again) else found

    def _last_before(self, key: int, offset: int) -> int | None:
        wanted = np.uint64(key)
        best: int | None = None
        for keys, offsets in self._segments:
            low, high = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
            earlier = offsets[low:high][offsets[low:high] < offset]
            if len(earlier):
                best = max(int(earlier.max()), -1 if best is None else best)
        return best


def _join(one: _Segment, other: _Segment, oldest: int) -> _Segment:
    keys, offsets = np.concatenate((one[0], other[0])), np.concatenate((one[1], other[1]))
    live = offsets >= oldest
    keys, offsets = keys[live], offsets[live]
    order = np.argsort(keys, kind="stable")
    return keys[order], offsets[order]
