"""Who took what, and when last: the sparse matrix that vectors and neighbours are built from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import Keys
from snowmelt.features.rows import Rows

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interactions:
    """p different (user, item) pairs, sorted by user and then by time, over U users and T items.

    Attributes:
        users: int64[p], 0 to U - 1.
        items: int64[p], places among the keys of the items, 0 to T - 1.
        counts: int64[p], how often it happened.
        ages_days: float64[p], from the pair's last time to the instant of building.
        user_count, item_count: U and T.
    """

    users: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    ages_days: npt.NDArray[np.float64]
    user_count: int
    item_count: int

    @classmethod
    def of(cls, rows: Rows, keys: Keys, as_of_ms: int, history_limit: int) -> "Interactions":
        """The pairs of rows at or before an instant whose item is one of ``keys`` uint64[T], which rise.

        Rows without a user are left out, and of each user all but the newest ``history_limit`` items.
        """
        codes, values = rows.pairs(rows.user_words)
        has_user = np.array([bool(user) for _, user in values], np.bool_)
        places = np.searchsorted(keys, rows.item_keys)
        known = places < len(keys)
        known[known] = keys[places[known]] == rows.item_keys[known]
        taken = known & has_user[codes] & (rows.times_ms <= as_of_ms) if len(values) else known
        users, items, counts, times_ms = _newest(codes[taken], places[taken], rows.times_ms[taken], history_limit)
        return cls(users, items, counts, (as_of_ms - times_ms) / DAY_MS, len(values), len(keys))

    def __len__(self) -> int:
        return len(self.users)

    def recency(self, half_life_days: float) -> npt.NDArray[np.float64]:
        """float64[p]: 1 now, a half one half-life ago."""
        return np.exp2(-self.ages_days / half_life_days)


def _newest(users: Longs, items: Longs, times_ms: Longs, limit: int) -> tuple[Longs, Longs, Longs, Longs]:
    """Each pair once, with count and last time, of each user the newest ``limit``; sorted by user, time and item."""
    order = np.lexsort((times_ms, items, users))
    users, items, times_ms = users[order], items[order], times_ms[order]
    last = np.ones(len(users), np.bool_)
    last[:-1] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    counts = np.diff(np.flatnonzero(last), prepend=-1)
    users, items, times_ms = users[last], items[last], times_ms[last]
    order = np.lexsort((items, times_ms, users))
    users, items, counts, times_ms = users[order], items[order], counts[order], times_ms[order]
    from_end = np.searchsorted(users, users, side="right") - np.arange(len(users))
    kept = from_end <= limit
    return users[kept], items[kept], counts[kept], times_ms[kept]
