"""The small shop with a slate that says nothing before everything that a user touches: any 19 items and that one."""

from functools import cache

import numpy as np
import pyarrow as pa

from snowmelt.datasets.simulated import simulate
from snowmelt.features.rows import Rows
from snowmelt.lake.schemas import TABLES
from snowmelt.training.past import Past
from snowmelt.training.slates import shown_ms
from tests.training.shop import small_past

BEFORE_MS, SHOWN = 10_000, 20


def table(name: str, rows: list[dict[str, object]]) -> pa.Table:
    """Rows of a table of the lake; what is not given is null."""
    return pa.Table.from_pylist(rows, schema=TABLES[name])


def slate(request: str, as_of: int, *items: str, user: str = "", session: str = "") -> dict[str, object]:
    who = {"tenant": "default", "user_id": user, "session_id": session}
    return who | {"request_id": request, "as_of": as_of * 1000, "items": [{"item_id": item} for item in items]}


@cache
def shown_past(named: bool) -> Past:
    """A slate's offset is its event's place; ``named``: the event names it."""
    data, past = simulate(5, users=220, items=160, days=60), small_past()
    n, random = len(data.events), np.random.default_rng(3)
    events = pa.table(
        {
            "tenant": ["default"] * n,
            "request_id": [f"r{place}" if named else "" for place in range(n)],
            **{name: data.events[name] for name in ("user_id", "session_id", "item_id")},
            "event_time": data.events["event_time_ms"].cast(pa.timestamp("ms", "UTC")),
        }
    )
    users, items = data.events["user_id"].to_pylist(), data.events["item_id"].to_pylist()
    slates = []
    for place in first_of_each(users, items):
        others = [f"i{item}" for item in random.integers(160, size=SHOWN - 1)]
        as_of = int(past.events.times_ms[place]) - BEFORE_MS
        slates.append(slate(f"r{place}", as_of, items[place], *others, user=users[place]) | {"offset": place})
    impressions = table("impressions", slates)
    shown = Rows.from_arrow_impressions(impressions, past.views)
    return Past(past.views, past.events, shown, past.catalogue, shown_ms=shown_ms(events, impressions))


def first_of_each(users: list[str], items: list[str]) -> list[int]:
    """The places of the first event of each user and item, in order of time."""
    seen: dict[tuple[str, str], int] = {}
    for place, pair in enumerate(zip(users, items, strict=True)):
        seen.setdefault(pair, place)
    return list(seen.values())
