"""Questions whose answers are known: a user at an instant, and what the user went on to choose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from snowmelt.contracts.ids import Keys
from snowmelt.training.interactions import Codes, Interactions, Times


@dataclass(frozen=True)
class Queries:
    """q questions.

    Attributes:
        users: int64[q], codes of users.
        as_of_ms: int64[q], the instant that everything is read at.
        truths: q times uint64[m], the items chosen afterwards, by rising key; none only where nobody judges.
        user_names: each code's entity.
    """

    users: Codes
    as_of_ms: Times
    truths: list[Keys]
    user_names: tuple[str, ...]

    @classmethod
    def at(cls, entities: Sequence[str], as_of_ms: int) -> "Queries":
        """One question a user at one instant, the answers not known."""
        nothing = [np.empty(0, np.uint64)] * len(entities)
        return cls(np.arange(len(entities)), np.full(len(entities), as_of_ms), nothing, tuple(entities))

    def __len__(self) -> int:
        return len(self.users)

    @property
    def entities(self) -> list[str]:
        """The entity of each query's user."""
        return [self.user_names[u] for u in self.users.tolist()]

    def take(self, index: npt.NDArray[np.int64]) -> "Queries":
        """The queries of an index."""
        truths = [self.truths[i] for i in index.tolist()]
        return Queries(self.users[index], self.as_of_ms[index], truths, self.user_names)


def concatenate(parts: list[Queries]) -> Queries:
    """Queries one after the other; user codes must be of one list."""
    return Queries(
        np.concatenate([p.users for p in parts]),
        np.concatenate([p.as_of_ms for p in parts]),
        [truth for p in parts for truth in p.truths],
        parts[0].user_names,
    )


def over_window(touches: Interactions, start_ms: int, end_ms: int, *, known_only: bool = True) -> Queries:
    """One query a user at ``start_ms``: what the user chose from then to ``end_ms``.

    ``known_only`` leaves out users who had chosen nothing before.
    """
    future = touches.between(start_ms, end_ms).by_user()
    known = set(np.unique(touches.between(0, start_ms).users).tolist())
    users = np.array([u for u in future if not known_only or u in known], np.int64)
    truths = [future[u] for u in users.tolist()]
    return Queries(users, np.full(len(users), start_ms), truths, touches.user_names)


def at_choices(
    touches: Interactions, start_ms: int, end_ms: int, *, horizon_ms: int, per_user: int, limit: int
) -> Queries:
    """Queries just before what led to a user's choices, at most ``per_user`` a user and ``limit`` in all.

    A query stands just before the choice, or before the slate that led to it, whose own traces would tell the choice.
    What was chosen from that instant on, within ``horizon_ms`` and before ``end_ms``, is the truth; of nothing in it
    was the slate made earlier. Which instants are drawn is decided by a hash of user and instant, so that it does not
    depend on what else is in the data.
    """
    window = touches.between(start_ms, end_ms)
    shown = window.times_ms if window.shown_ms is None else window.shown_ms
    order = np.lexsort((window.keys, window.times_ms, window.users))
    users, times, keys = window.users[order], window.times_ms[order], window.keys[order]
    least = _least_from_here(users, shown[order])
    # Stretches from slate to choice that touch one another have one instant, at which none of them had begun.
    new = np.ones(len(users), np.bool_)
    new[1:] = (users[1:] != users[:-1]) | (least[1:] > times[:-1])
    new &= (least >= start_ms) & (times < least + horizon_ms)
    starts = np.flatnonzero(new)
    starts = starts[_draw(users[starts], least[starts], touches.user_names, per_user, limit)]
    last_of_user = np.searchsorted(users, users[starts], side="right")
    truths = [
        np.unique(keys[a : a + np.searchsorted(times[a:b], least[a] + horizon_ms)])
        for a, b in zip(starts.tolist(), last_of_user.tolist(), strict=True)
    ]
    return Queries(users[starts], least[starts] - 1, truths, touches.user_names)


def _least_from_here(users: Codes, times: Times) -> Times:
    """The least time of each place and those after it of the same user; users do not fall."""
    order = np.lexsort((times, users))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    # A later user's ranks are greater, so that the least rank from a place to the end is one of its own user.
    least = np.minimum.accumulate(rank[::-1])[::-1]
    return times[order[least]]


def _draw(users: Codes, times: Times, names: tuple[str, ...], per_user: int, limit: int) -> npt.NDArray[np.int64]:
    """Rising places of the drawn instants: the smallest hashes of each user, then the smallest of all."""
    texts = (f"{names[u]}\0{t}" for u, t in zip(users.tolist(), times.tolist(), strict=True))
    lots = np.fromiter((xxhash.xxh3_64_intdigest(text.encode()) for text in texts), np.uint64, len(users))
    order = np.lexsort((lots, users))
    of_user = users[order]
    place = np.arange(len(order)) - np.searchsorted(of_user, of_user)
    kept = order[place < per_user]
    return np.sort(kept[np.argsort(lots[kept], kind="stable")[:limit]])
