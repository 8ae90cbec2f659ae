"""The views that the services read, declared without Feast; feature_repo says the same in Feast's language."""

from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSION_TYPE, IMPRESSIONS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.views import CompiledViews

EVENT_TYPES = ("view", "click", "add_to_cart", "purchase", "rating", "like", "play", IMPRESSION_TYPE)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

COUNTED = {
    "views": "view",
    "clicks": "click",
    "add_to_carts": "add_to_cart",
    "purchases": "purchase",
    "ratings": "rating",
    "likes": "like",
    "plays": "play",
    "impressions": IMPRESSION_TYPE,
    "interactions": "interaction",
}
"""What item_stats counts: the plural that leads a feature's name, and the column."""

_WINDOWS = (
    ("1h", HOUR_MS, 5 * MINUTE_MS),
    ("1d", DAY_MS, HOUR_MS),
    ("7d", 7 * DAY_MS, HOUR_MS),
    ("28d", 28 * DAY_MS, HOUR_MS),
)


def _item_stats() -> list[Declared]:
    lines = [
        Declared(f"{plural}_{label}", column, "sum", window, slide)
        for plural, column in COUNTED.items()
        for label, window, slide in _WINDOWS
    ]
    lines += [Declared(f"{plural}_decayed", column, "decayed_sum", 7 * DAY_MS) for plural, column in COUNTED.items()]
    return [*lines, Declared("distinct_users_28d", "user_id", "distinct", 28 * DAY_MS)]


USER_PROFILE = ViewSpec(
    "user_profile",
    "user",
    (EVENTS,),
    HOUR_MS,
    (
        Declared("recent_items", "item_id", "latest_distinct(50)"),
        Declared("recent_items_times", "item_id", "latest_distinct(50).times"),
        Declared("recent_items_types", "item_id", "latest_distinct(50).types"),
        Declared("type_counts", "type", "decayed_counts", 7 * DAY_MS),
        Declared("type_counts_keys", "type", "decayed_counts.keys", 7 * DAY_MS),
        Declared("category_affinity", "category", "decayed_counts", 30 * DAY_MS),
        Declared("category_affinity_keys", "category", "decayed_counts.keys", 30 * DAY_MS),
        Declared("price_level", "price", "decayed_mean", 30 * DAY_MS),
    ),
)
USER_SEEN = ViewSpec(
    "user_seen", "user", (EVENTS,), HOUR_MS, (Declared("seen_items", "item_id", "latest_distinct(2000)"),)
)
ITEM_STATS = ViewSpec("item_stats", "item", (EVENTS, IMPRESSIONS), HOUR_MS, _item_stats())
ITEM_CONTENT = ViewSpec(
    "item_content",
    "item",
    (CATALOG,),
    HOUR_MS,
    (Declared("content", "content", "last"), Declared("first_upsert", "event_time", "min")),
)


def default_views() -> CompiledViews:
    """The default views, compiled."""
    return compile_views(EVENT_TYPES, (USER_PROFILE, USER_SEEN, ITEM_STATS, ITEM_CONTENT))
