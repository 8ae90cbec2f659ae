"""Who chose what and when: the positives among events, as columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys

Codes = npt.NDArray[np.int64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interactions:
    """n choices in time order.

    Attributes:
        users: int64[n], codes of users.
        keys: uint64[n], items.
        times_ms: int64[n], not falling.
        user_names: each code's entity.
        shown_ms: int64[n], when the slate was made that led to each, its own time where none did; None: of none.
    """

    users: Codes
    keys: Keys
    times_ms: Times
    user_names: tuple[str, ...]
    shown_ms: Times | None = None

    def __len__(self) -> int:
        return len(self.times_ms)

    def between(self, start_ms: int, end_ms: int) -> "Interactions":
        """Those at or after ``start_ms`` and before ``end_ms``; user codes stay."""
        a, b = np.searchsorted(self.times_ms, (start_ms, end_ms))
        shown_ms = None if self.shown_ms is None else self.shown_ms[a:b]
        return Interactions(self.users[a:b], self.keys[a:b], self.times_ms[a:b], self.user_names, shown_ms)

    def by_user(self) -> dict[int, Keys]:
        """Each user's distinct items, by rising key."""
        pairs = np.unique(np.stack((self.users.astype(np.uint64), self.keys)), axis=1)
        starts = np.flatnonzero(np.diff(pairs[0], prepend=np.uint64(2**63)))
        parts = np.split(pairs[1], starts[1:])
        return {int(pairs[0, s]): part for s, part in zip(starts, parts, strict=True)}
