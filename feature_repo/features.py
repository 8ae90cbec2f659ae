"""Every feature of Snowmelt, as Feast objects. A feature is one line: an Aggregation of a stream feature view.

See docs/features.md for the functions and columns, and for how a change reaches what serves.
"""

from datetime import timedelta
from pathlib import Path

from feast import Aggregation, Entity, FeatureService, FileSource, KafkaSource, StreamFeatureView, ValueType
from feast.data_format import DeltaFormat, ProtoFormat

from snowmelt.featurestore.feast_compile import schema_of
from snowmelt.featurestore.feast_settings import repo_settings

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

SETTINGS = repo_settings(Path(__file__).resolve().parent)

# Append only: a type's place in this list is its code in the state. Clients may send each but impression.
EVENT_TYPES = "view,click,add_to_cart,purchase,rating,like,play,impression"

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING, description="A user's id")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING, description="An item's id")


def lake_table(name: str, timestamp_field: str = "event_time") -> FileSource:
    """A table of the lake, where the history of a stream is kept."""
    return FileSource(
        name=name, path=f"{SETTINGS.lake_url}/{name}", file_format=DeltaFormat(), timestamp_field=timestamp_field
    )


def stream(name: str, topic: str, message: str, table: FileSource) -> KafkaSource:
    """Topics and the table that their records land in."""
    return KafkaSource(
        name=name,
        topic=topic,
        kafka_bootstrap_servers=SETTINGS.kafka_bootstrap,
        message_format=ProtoFormat(f"snowmelt.api.events.v1.{message}"),
        timestamp_field="event_time",
        batch_source=table,
        tags={"event_types": EVENT_TYPES},
    )


events = lake_table("events")
catalog = lake_table("catalog")

user_events = stream("user_events", "snowmelt.events", "Event", events)
item_events = stream("item_events", "snowmelt.events,snowmelt.impressions", "Event", events)
catalog_changes = stream("catalog_changes", "snowmelt.catalog", "CatalogChange", catalog)

USER_PROFILE = [
    Aggregation(name="recent_items", column="item_id", function="latest_distinct(50)"),
    Aggregation(name="recent_items_times", column="item_id", function="latest_distinct(50).times"),
    Aggregation(name="recent_items_types", column="item_id", function="latest_distinct(50).types"),
    Aggregation(name="type_counts", column="type", function="decayed_counts", time_window=7 * DAY),
    Aggregation(name="type_counts_keys", column="type", function="decayed_counts.keys", time_window=7 * DAY),
    Aggregation(name="category_affinity", column="category", function="decayed_counts", time_window=30 * DAY),
    Aggregation(name="category_affinity_keys", column="category", function="decayed_counts.keys", time_window=30 * DAY),
    Aggregation(name="price_level", column="price", function="decayed_mean", time_window=30 * DAY),
]

USER_SEEN = [Aggregation(name="seen_items", column="item_id", function="latest_distinct(2000)")]

# What is counted of each item: the name that its features begin with, and the column that is summed.
COUNTED = {
    "impressions": "impression",
    "views": "view",
    "clicks": "click",
    "add_to_carts": "add_to_cart",
    "purchases": "purchase",
    "ratings": "rating",
    "likes": "like",
    "plays": "play",
    "interactions": "interaction",
}

ITEM_STATS = [
    *(Aggregation(name=f"{n}_1h", column=c, function="sum", time_window=HOUR) for n, c in COUNTED.items()),
    *(
        Aggregation(name=f"{n}_{days}d", column=c, function="sum", time_window=days * DAY, slide_interval=HOUR)
        for n, c in COUNTED.items()
        for days in (1, 7, 28)
    ),
    *(
        Aggregation(name=f"{n}_decayed", column=c, function="decayed_sum", time_window=7 * DAY)
        for n, c in COUNTED.items()
    ),
    Aggregation(name="distinct_users_28d", column="user_id", function="distinct", time_window=28 * DAY),
]

ITEM_CONTENT = [
    Aggregation(name="content", column="content", function="last"),
    Aggregation(name="first_upsert", column="event_time", function="min"),
]


def view(name: str, entity: Entity, source: KafkaSource, aggregations: list[Aggregation]) -> StreamFeatureView:
    """A stream feature view whose features are its aggregations."""
    return StreamFeatureView(
        name=name,
        entities=[entity],
        source=source,
        timestamp_field="event_time",
        aggregations=aggregations,
        schema=schema_of(aggregations),
        enable_tiling=True,
        tiling_hop_size=timedelta(minutes=5),
    )


user_profile = view("user_profile", user, user_events, USER_PROFILE)
user_seen = view("user_seen", user, user_events, USER_SEEN)
item_stats = view("item_stats", item, item_events, ITEM_STATS)
item_content = view("item_content", item, catalog_changes, ITEM_CONTENT)

ranking = FeatureService(name="ranking", features=[user_profile, item_stats])
