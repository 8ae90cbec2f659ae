"""A simulated shop: seeded, for where no real data can be fetched; nobody real is behind it, and it is said so."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from snowmelt.contracts.clock import DAY_MS
from snowmelt.datasets import data_set
from snowmelt.datasets.data_set import DataSet

SOURCE = "a simulated shop: no real people and no real things"
TERMS = "none needed"
START_MS = 1_735_689_600_000
NOUNS = (
    *("basket", "blanket", "bottle", "bowl", "candle", "chair", "clock", "coat", "cup", "cushion"),
    *("desk", "drum", "frame", "glove", "hat", "jar", "kettle", "lamp", "mat", "mirror"),
)
STYLES = ("linen", "oak", "brass", "wool", "ceramic", "glass", "copper", "cork", "bamboo", "velvet")
COLOURS = ("sage", "amber", "ivory", "navy", "rust", "sand", "teal", "plum")
FUNNEL = (("view", 1.0), ("click", 0.45), ("add_to_cart", 0.3), ("purchase", 0.5))
"""Each step happens with this probability after the step before it."""


@dataclass(frozen=True)
class _Shop:
    noun: npt.NDArray[np.int64]
    style: npt.NDArray[np.int64]
    colour: npt.NDArray[np.int64]
    price: npt.NDArray[np.float64]
    offered_ms: npt.NDArray[np.int64]
    appeal: npt.NDArray[np.float64]


def simulate(seed: int = 7, users: int = 1_500, items: int = 800, days: int = 120) -> DataSet:
    """The data set of a seed: visits of users with tastes, each a funnel from view to purchase."""
    rng = np.random.default_rng(seed)
    shop = _stock(rng, items, days)
    rows = sorted(_visits(rng, shop, users, days))
    of = np.array([r[2] for r in rows])
    words = [[NOUNS[n], STYLES[s]] for n, s in zip(shop.noun, shop.style, strict=True)]
    events = data_set.table(
        data_set.EVENTS,
        {
            "event_id": [f"simulated-{seed}-{n}" for n in range(len(rows))],
            "user_id": [f"u{r[1]}" for r in rows],
            "session_id": [""] * len(rows),
            "item_id": [f"i{i}" for i in of],
            "type": [FUNNEL[r[3]][0] for r in rows],
            "value": [1.0 if FUNNEL[r[3]][0] == "purchase" else None for r in rows],
            "event_time_ms": [r[0] for r in rows],
            "categories": [words[i] for i in of],
            "price": shop.price[of],
        },
    )
    catalogue = data_set.table(
        data_set.CATALOGUE,
        {
            "item_id": [f"i{i}" for i in range(items)],
            "title": [f"{STYLES[s]} {NOUNS[n]} in {COLOURS[c]}".capitalize() for n, s, c in _looks(shop)],
            "text": [""] * items,
            "categories": words,
            "price": shop.price,
            "available_from_ms": shop.offered_ms,
            "attributes": data_set.attributes([{"colour": COLOURS[c]} for _, _, c in _looks(shop)]),
            "event_time_ms": shop.offered_ms,
        },
    )
    people = data_set.table(
        data_set.USERS,
        {
            "user_id": [f"u{u}" for u in range(users)],
            "attributes": data_set.attributes([{}] * users),
            "event_time_ms": [START_MS] * users,
        },
    )
    tables: tuple[pa.Table, pa.Table, pa.Table] = (catalogue, people, events)
    return data_set.from_tables(f"Simulated shop (seed {seed})", SOURCE, TERMS, tables, simulated=True)


def _looks(shop: _Shop) -> list[tuple[int, int, int]]:
    return list(zip(shop.noun.tolist(), shop.style.tolist(), shop.colour.tolist(), strict=True))


def _stock(rng: np.random.Generator, items: int, days: int) -> _Shop:
    """Half of the items are there at the start, the others come day by day."""
    noun = rng.integers(len(NOUNS), size=items)
    late = np.where(rng.random(items) < 0.5, 0, rng.integers(days * 9 // 10, size=items))
    return _Shop(
        noun=noun,
        style=rng.integers(len(STYLES), size=items),
        colour=rng.integers(len(COLOURS), size=items),
        price=np.exp(rng.normal(2.2 + 0.06 * noun, 0.5)).astype(np.float64).round(2),
        offered_ms=START_MS + late * DAY_MS,
        appeal=rng.lognormal(0, 1, items),
    )


def _visits(rng: np.random.Generator, shop: _Shop, users: int, days: int) -> list[tuple[int, int, int, int]]:
    """(time_ms, user, item, step) of every event: a visit is to one kind of thing that the user likes."""
    nouns = rng.dirichlet(np.full(len(NOUNS), 0.15), users)
    styles = rng.dirichlet(np.full(len(STYLES), 0.3), users)
    visits = rng.poisson(rng.gamma(1.5, 4.0, users)) + 1
    rows: list[tuple[int, int, int, int]] = []
    for user in range(users):
        times = START_MS + DAY_MS + (rng.random(visits[user]) * (days - 1) * DAY_MS).astype(np.int64)
        for time in times.tolist():
            noun = rng.choice(len(NOUNS), p=nouns[user])
            age_days = (time - shop.offered_ms) / DAY_MS
            fresh = np.where(age_days >= 0, np.exp(-age_days / 45) + 0.1, 0)
            weight = shop.appeal * fresh * (styles[user][shop.style] + 0.02) * np.where(shop.noun == noun, 1, 0.005)
            size = min(int(rng.integers(1, 6)), int(np.count_nonzero(weight)))
            shown = rng.choice(len(weight), size=size, replace=False, p=weight / weight.sum())
            for place, item in enumerate(shown.tolist()):
                for step, (_, chance) in enumerate(FUNNEL):
                    if rng.random() >= chance:
                        break
                    rows.append((time + place * 40_000 + step * 9_000, user, item, step))
    return rows
