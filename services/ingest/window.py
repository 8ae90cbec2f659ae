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

    def keep(self, keys: Keys, offsets: I64) -> Mask:
        """bool[n]: false for duplicates; remembers the others. ``offsets`` rise."""
        kept = np.ones(len(keys), np.bool_)
        suspects = np.flatnonzero(self._suspects(keys))
        latest: dict[int, int] = {}
        for i, key, offset in zip(suspects.tolist(), keys[suspects].tolist(), offsets[suspects].tolist(), strict=True):
            before = latest[key] if key in latest else self._last_before(key, offset)
            if before is not None and offset - before <= self.size:
                kept[i] = False
            else:
                latest[key] = offset
        self.remember(keys[kept], offsets[kept])
        return kept

    def remember(self, keys: Keys, offsets: I64) -> None:
        """Adds ids that were kept."""
        if len(keys) == 0:
            return
        order = np.argsort(keys, kind="stable")
        self._segments.append((keys[order], offsets[order]))
        newest = int(offsets.max())
        while len(self._segments) > 1 and len(self._segments[-2][0]) < 2 * len(self._segments[-1][0]):
            self._segments[-2:] = [self._join(self._segments[-2], self._segments[-1], newest)]

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._segments)

    def _join(self, one: _Segment, other: _Segment, newest: int) -> _Segment:
        keys, offsets = np.concatenate((one[0], other[0])), np.concatenate((one[1], other[1]))
        live = offsets >= newest - self.size
        keys, offsets = keys[live], offsets[live]
        order = np.argsort(keys, kind="stable")
        return keys[order], offsets[order]

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
