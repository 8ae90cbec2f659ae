"""A small shop out of plain arrays: a catalogue, its interactions, and an ItemSource without a replica."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys, item_keys, word_keys
from snowmelt.contracts.items import ItemColumns
from snowmelt.contracts.items import Rows as Places
from snowmelt.contracts.user_state import UserState
from snowmelt.features.ragged import Ragged
from snowmelt.features.rows import Rows
from snowmelt.features.words import Words

NOW_MS = 1_700_000_000_000
KINDS = ("lamp", "mug", "clock", "card")
COLOURS = ("red", "blue", "green", "white", "black", "pink", "grey", "gold", "teal", "plum")


def keys(*ids: str) -> Keys:
    return item_keys(DEFAULT_TENANT, ids)


def columns(
    titles: dict[str, str], ages_days: Sequence[float] | None = None, withdrawn: Sequence[str] = ()
) -> ItemColumns:
    ids = list(titles)
    ages = np.array(ages_days if ages_days is not None else np.arange(len(ids)) + 100.0)
    return ItemColumns(
        keys=keys(*ids),
        ids=ids,
        titles=list(titles.values()),
        texts=[""] * len(ids),
        categories=[(title.split()[-1],) for title in titles.values()],
        prices=np.full(len(ids), 5.0),
        available_from_ms=(NOW_MS - ages * DAY_MS).astype(np.int64),
        withdrawn=np.array([i in withdrawn for i in ids], np.bool_),
    )


def catalogue() -> ItemColumns:
    """40 items: each kind in each colour, ids i0 to i39."""
    titles = [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]
    return columns({f"i{n}": title for n, title in enumerate(titles)})


def with_item(old: ItemColumns, item_id: str, title: str, age_days: float = 0.0) -> ItemColumns:
    """A new value with one item added or replaced, other parts shared."""
    new = columns({item_id: title}, [age_days])
    if item_id in old.ids:
        place = list(old.ids).index(item_id)
        titles = list(old.titles)
        titles[place] = title
        return replace(old, titles=titles)
    joined = {}
    for name in ("ids", "titles", "texts", "categories"):
        joined[name] = [*getattr(old, name), *getattr(new, name)]
    for name in ("keys", "prices", "available_from_ms", "withdrawn"):
        joined[name] = np.concatenate([getattr(old, name), getattr(new, name)])
    return ItemColumns(**joined)


def rows(users: Sequence[str], items: Sequence[str], times_ms: Sequence[int]) -> Rows:
    n = len(users)
    return Rows(
        topic="snowmelt.events",
        tenant_words=Words.repeat(DEFAULT_TENANT, n),
        user_words=Words.of(users),
        item_words=Words.of(items),
        types=np.zeros(n, np.int16),
        times_ms=np.array(times_ms, np.int64),
        values=np.full(n, np.nan),
        prices=np.full(n, np.nan),
        category_cells=Ragged(np.zeros(n + 1, np.int64), (np.empty(0, np.int64),)),
        category_values=(),
        offsets=np.arange(n),
    )


def shopping(seed: int = 1) -> Rows:
    """300 users, each of whom buys items of one kind."""
    random = np.random.default_rng(seed)
    users, items, times = [], [], []
    for user in range(300):
        kind = user % len(KINDS)
        for colour in random.choice(len(COLOURS), 4, replace=False):
            users.append(f"u{user}")
            items.append(f"i{kind * len(COLOURS) + colour}")
            times.append(NOW_MS - int(random.integers(1, 20 * DAY_MS)))
    return rows(users, items, times)


class PlainItems:
    """An ItemSource whose counts are those of the rows."""

    def __init__(self, content: ItemColumns, events: Rows) -> None:
        self.content = content
        self.events = events
        self.reads = 0

    def columns(self) -> ItemColumns:
        return self.content

    def rows(self, keys: Keys) -> Places:
        where = {key: row for row, key in enumerate(self.content.keys.tolist())}
        return np.array([where.get(key, -1) for key in keys.tolist()], np.int64)

    def statistics(self, keys: Keys, as_of_ms: int) -> dict[str, np.ndarray]:
        self.reads += 1
        found = {}
        for days in (7, 28):
            recent = (self.events.times_ms <= as_of_ms) & (self.events.times_ms > as_of_ms - days * DAY_MS)
            items, counts = np.unique(self.events.item_keys[recent], return_counts=True)
            count = dict(zip(items.tolist(), counts.tolist(), strict=True))
            found[f"interactions_{days}d"] = np.array([count.get(k, 0) for k in keys.tolist()], np.float32)
        return found


def user(*recent: str, seen: Sequence[str] | None = None, likes: dict[str, float] | None = None) -> UserState:
    """A user whose recent items are one day apart, the newest one day old."""
    likes = likes or {}
    return UserState(
        recent_keys=keys(*recent),
        recent_times_ms=NOW_MS - DAY_MS * (1 + np.arange(len(recent), dtype=np.int64)),
        recent_types=np.zeros(len(recent), np.uint8),
        seen_keys=keys(*(recent if seen is None else seen)),
        category_keys=word_keys(likes),
        category_weights=np.array(list(likes.values()), np.float64),
    )
