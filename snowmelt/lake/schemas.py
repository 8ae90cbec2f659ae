"""The tables' columns. Columns are only ever added, and added ones are nullable."""

import pyarrow as pa

from snowmelt.contracts import topics

INSTANT = pa.timestamp("us", "UTC")
_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int32()
_WORDS = pa.map_(pa.string(), pa.string())

PLACE = (
    pa.field("incarnation", _STRING),
    pa.field("partition", _INT),
    pa.field("offset", pa.int64()),
    pa.field("record_time", INSTANT),
)
"""Where each row comes from: the topic's incarnation, partition, offset, and the record's own Kafka time."""

_HIT = pa.struct([("source", _STRING), ("rank", _INT), ("score", _FLOAT)])
SHOWN = pa.struct(
    [
        ("item_id", _STRING),
        ("position", _INT),
        ("sources", pa.list_(_HIT)),
        ("ranker_score", _FLOAT),
        ("propensity", _FLOAT),
        ("reason", _STRING),
        ("features", pa.list_(pa.float32())),
    ]
)
"""One place of a slate."""


def _table(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in fields] + list(PLACE))


DEAD_LETTERS = "dead_letters"
REPLAYS = "replays"
PAYLOAD_BYTES = 1_048_576
"""Of a dead letter's bytes; of more, hash and size are kept alone."""
TABLES: dict[str, pa.Schema] = {
    "events": _table(
        ("event_id", _STRING),
        ("tenant", _STRING),
        ("user_id", _STRING),
        ("session_id", _STRING),
        ("item_id", _STRING),
        ("type", _STRING),
        ("value", _FLOAT),
        ("event_time", INSTANT),
        ("surface", _STRING),
        ("request_id", _STRING),
        ("position", _INT),
        ("context", _WORDS),
        ("categories", pa.list_(_STRING)),
        ("price", _FLOAT),
        ("late", pa.bool_()),
    ),
    "impressions": _table(
        ("request_id", _STRING),
        ("tenant", _STRING),
        ("user_id", _STRING),
        ("session_id", _STRING),
        ("surface", _STRING),
        ("as_of", INSTANT),
        ("release_id", _STRING),
        ("rung", _STRING),
        ("experiment", _STRING),
        ("variant", _STRING),
        ("holdback", pa.bool_()),
        ("items", pa.list_(SHOWN)),
        ("feature_list_hash", _STRING),
    ),
    "catalog": _table(
        ("tenant", _STRING),
        ("item_id", _STRING),
        ("change", _STRING),
        ("title", _STRING),
        ("text", _STRING),
        ("categories", pa.list_(_STRING)),
        ("price", _FLOAT),
        ("available_from", INSTANT),
        ("attributes", _WORDS),
        ("event_time", INSTANT),
        ("payload", pa.binary()),
    ),
    "users": _table(
        ("tenant", _STRING),
        ("user_id", _STRING),
        ("attributes", _WORDS),
        ("event_time", INSTANT),
    ),
    DEAD_LETTERS: _table(
        ("topic", _STRING),
        ("reason", _STRING),
        ("detail", _STRING),
        ("key", pa.binary()),
        ("payload", pa.binary()),
        ("payload_sha256", _STRING),
        ("payload_bytes", pa.int64()),
    ),
    REPLAYS: _table(
        ("topic", _STRING),
        ("sent_at", INSTANT),
        ("sent_partition", _INT),
        ("sent_offset", pa.int64()),
    ),
}
"""Schema by table. A row of ``replays`` marks the dead letter of its topic, incarnation, partition and offset."""

TOPIC_TABLES = {
    topics.EVENTS: "events",
    topics.IMPRESSIONS: "impressions",
    topics.CATALOG: "catalog",
    topics.USERS: "users",
}
"""The table in which a topic's valid records land."""

_STATISTICS = ("incarnation", "partition", "offset", "record_time", "event_time", "as_of")


def properties(table: str) -> dict[str, str]:
    """Delta's settings of a table.

    Minima and maxima are kept of no column that names a user: Delta's log would remember them beyond an erasure.
    ``delta.setTransactionRetentionDuration`` stays unset, since it would expire the offsets.
    """
    names = [name for name in _STATISTICS if name in TABLES[table].names]
    return {"delta.dataSkippingStatsColumns": ",".join(names), "delta.checkpointInterval": "100"}
