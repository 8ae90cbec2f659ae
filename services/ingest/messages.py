"""Catalogue changes, users and impressions as rows of the lake's tables; few enough to be looked at one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from services.ingest.batch import Batch
from services.ingest.events import places
from snowmelt.api.events.v1 import events_pb2
from snowmelt.lake.schemas import TABLES

Row = dict[str, Any]


def catalog_row(change: events_pb2.CatalogChange, payload: bytes) -> Row:
    """An upsert with its content, or a withdrawal; the bytes are kept as they came."""
    if change.HasField("withdrawal"):
        gone = change.withdrawal
        row: Row = {"tenant": gone.tenant, "item_id": gone.item_id, "event_time": gone.event_time_ms * 1000}
        return row | {"change": "withdrawal", "payload": payload}
    item = change.upsert
    return {
        "tenant": item.tenant,
        "item_id": item.item_id,
        "change": "upsert",
        "title": item.title,
        "text": item.text,
        "categories": list(item.categories),
        "price": item.price if item.HasField("price") else None,
        "available_from": item.available_from_ms * 1000 if item.HasField("available_from_ms") else None,
        "attributes": sorted(item.attributes.items()),
        "event_time": item.event_time_ms * 1000,
        "payload": payload,
    }


def user_row(user: events_pb2.UserUpsert, _: bytes) -> Row:
    """A user's attributes."""
    return {
        "tenant": user.tenant,
        "user_id": user.user_id,
        "attributes": sorted(user.attributes.items()),
        "event_time": user.event_time_ms * 1000,
    }


def impression_row(slate: events_pb2.Impression, _: bytes) -> Row:
    """One slate with its places."""
    plain = ("request_id", "tenant", "user_id", "session_id", "surface", "release_id", "rung", "experiment", "variant")
    row: Row = {name: getattr(slate, name) for name in plain}
    return row | {
        "as_of": slate.as_of_ms * 1000,
        "holdback": slate.holdback,
        "items": [_shown(item) for item in slate.items],
        "feature_list_hash": slate.feature_list_hash,
    }


def _shown(item: events_pb2.ImpressionItem) -> Row:
    return {
        "item_id": item.item_id,
        "position": item.position,
        "sources": [{"source": hit.source, "rank": hit.rank, "score": hit.score} for hit in item.sources],
        "ranker_score": item.ranker_score if item.HasField("ranker_score") else None,
        "propensity": item.propensity,
        "reason": item.reason,
        "features": list(item.features),
    }


def rows_table(
    table: str, batch: Batch, messages: Sequence[Any], row: Callable[[Any, bytes], Row], incarnation: str
) -> pa.Table:
    """The rows of one of the three tables."""
    schema = TABLES[table]
    found = [row(message, value or b"") for message, value in zip(messages, batch.values, strict=True)]
    columns = places(batch, incarnation)
    for field in schema:
        if field.name not in columns:
            columns[field.name] = pa.array([each.get(field.name) for each in found], field.type)
    return pa.table([columns[name] for name in schema.names], schema=schema)
