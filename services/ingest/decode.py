"""Records -> rows of the lake and verdicts on what is none; both lanes decide by this alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from services.ingest.batch import I64, Batch, Mask
from services.ingest.events import event_columns
from services.ingest.messages import catalog_row, impression_row, rows_table, user_row
from services.ingest.verdicts import Verdict, Why, gate
from services.ingest.window import keys_of
from services.ingest.wire import read_events
from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts import topics
from snowmelt.contracts.clock import FUTURE_MS
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys, record_key, session_entity
from snowmelt.runtime.validation import check

_KINDS: dict[str, type[Message]] = {
    topics.EVENTS: events_pb2.Event,
    topics.IMPRESSIONS: events_pb2.Impression,
    topics.CATALOG: events_pb2.CatalogChange,
    topics.USERS: events_pb2.UserUpsert,
}
_ROWS: dict[str, tuple[str, Callable[[Any, bytes], dict[str, Any]]]] = {
    topics.IMPRESSIONS: ("impressions", impression_row),
    topics.CATALOG: ("catalog", catalog_row),
    topics.USERS: ("users", user_row),
}
ID_COLUMNS = {topics.EVENTS: "event_id", topics.IMPRESSIONS: "request_id"}
"""What a duplicate is known by, where a topic has duplicates."""


@dataclass(frozen=True)
class Decoded:
    """A batch's valid records and the verdicts on the others.

    Attributes:
        rows: m rows of the topic's table, in the order of the batch.
        keys: uint64[m], what a duplicate is known by; None for topics without duplicates.
        places: int64[m], each row's place in the batch.
        verdicts: by place in the batch.
    """

    rows: pa.Table
    keys: Keys | None
    places: I64
    verdicts: dict[int, Verdict]


def decode(batch: Batch, incarnation: str, event_types: Sequence[str]) -> Decoded:
    """Decodes and judges a batch; ``event_types`` are those that feature_repo declares."""
    verdicts = gate(batch)
    judged = _events if batch.topic == topics.EVENTS else _others
    rows, good = judged(batch, verdicts, incarnation, event_types)
    ids = ID_COLUMNS.get(batch.topic)
    keys = None if ids is None else keys_of(rows[ids])
    return Decoded(rows, keys, good, verdicts)


def _events(
    batch: Batch, verdicts: dict[int, Verdict], incarnation: str, event_types: Sequence[str]
) -> tuple[pa.Table, I64]:
    """Rows of the valid events and their places; most are judged as columns and never become messages."""
    values: list[Any] = list(batch.values)
    for i in verdicts:  # a record without a value is among these
        values[i] = b""
    columns, odd = read_events(values)
    table, suspects = columns.table(batch, incarnation), columns.broken()
    places = np.flatnonzero(odd)
    messages = dict(zip(places.tolist(), _parse(events_pb2.Event, batch, places, verdicts), strict=True))
    if messages:
        columns = event_columns(list(messages.values()))
        suspects[odd] = columns.broken()
        index = np.arange(len(batch))
        index[odd] = len(batch) + np.arange(len(messages))
        table = pa.concat_tables([table, columns.table(_only(batch, places), incarnation)]).take(index)
    suspects |= _unfit_events(table, batch, event_types)
    read = events_pb2.Event.FromString
    for i in np.flatnonzero(suspects).tolist():
        message = messages[i] if i in messages else read(values[i])
        if i not in verdicts and (verdict := judge(message, batch, i, event_types)) is not None:
            verdicts[i] = verdict
    good = _good(batch, verdicts)
    return table.take(good) if verdicts else table, good


def _others(
    batch: Batch, verdicts: dict[int, Verdict], incarnation: str, event_types: Sequence[str]
) -> tuple[pa.Table, I64]:
    """Rows of the valid records of another topic and their places: few enough to be looked at one by one."""
    messages = _parse(_KINDS[batch.topic], batch, np.arange(len(batch)), verdicts)
    for i, message in enumerate(messages):
        if i not in verdicts and (verdict := judge(message, batch, i, event_types)) is not None:
            verdicts[i] = verdict
    good = _good(batch, verdicts)
    name, row = _ROWS[batch.topic]
    kept = _only(batch, good) if verdicts else batch
    return rows_table(name, kept, [messages[i] for i in good.tolist()], row, incarnation), good


def _good(batch: Batch, verdicts: dict[int, Verdict]) -> I64:
    if not verdicts:
        return np.arange(len(batch))
    return np.setdiff1d(np.arange(len(batch)), np.fromiter(verdicts, np.int64, len(verdicts)))


def judge(message: Any, batch: Batch, i: int, event_types: Sequence[str]) -> Verdict | None:
    """What is wrong with one decoded record; None where nothing is."""
    try:
        check(message)
    except SnowmeltError as error:
        foreign = len(UnknownFieldSet(message)) > 0
        return Verdict(Why.SCHEMA_MISMATCH if foreign else Why.INVALID_FIELD, error.detail)
    body = getattr(message, message.WhichOneof("change")) if batch.topic == topics.CATALOG else message
    if body.tenant != DEFAULT_TENANT:
        return Verdict(Why.UNKNOWN_TENANT, f"tenant {body.tenant} is not known")
    if batch.topic == topics.EVENTS and body.type not in _clients_types(event_types):
        return Verdict(Why.UNKNOWN_EVENT_TYPE, f"type {body.type} is not declared")
    if batch.keys[i] != record_key(body.tenant, _entity(batch.topic, body)):
        return Verdict(Why.KEY_MISMATCH, "the key is not tenant/entity of the value")
    time_ms = body.as_of_ms if batch.topic == topics.IMPRESSIONS else body.event_time_ms
    if time_ms > batch.times_ms[i] + FUTURE_MS:
        ahead_s = (time_ms - int(batch.times_ms[i])) // 1000
        return Verdict(Why.FUTURE_EVENT_TIME, f"the event lies {ahead_s} s ahead of its record")
    return None


def _entity(topic: str, body: Any) -> str:
    if topic == topics.CATALOG:
        return str(body.item_id)
    if topic == topics.USERS:
        return str(body.user_id)
    return str(body.user_id or session_entity(body.session_id))


def _clients_types(event_types: Sequence[str]) -> list[str]:
    return [name for name in event_types if name != topics.IMPRESSION_TYPE]


def _parse(kind: type[Message], batch: Batch, places: I64, verdicts: dict[int, Verdict]) -> list[Any]:
    """The messages at some places; empty ones, with a verdict, where the bytes are none."""
    messages = []
    for i in places.tolist():
        message, value = kind(), batch.values[i]
        if i not in verdicts and value is not None:
            try:
                message = kind.FromString(value)
            except DecodeError:
                verdicts[i] = Verdict(Why.UNDECODABLE, f"the bytes are no {kind.DESCRIPTOR.name}")
        messages.append(message)
    return messages


def _unfit_events(table: pa.Table, batch: Batch, event_types: Sequence[str]) -> Mask:
    """bool[n]: whether the checks beyond the proto's rules may fail; ``judge`` then says which."""
    user, session, tenant = (table[name].combine_chunks() for name in ("user_id", "session_id", "tenant"))
    entity = pc.if_else(pc.equal(user, ""), pc.binary_join_element_wise(session_entity(""), session, ""), user)
    keys = pc.binary_join_element_wise(tenant, entity, "/").cast(pa.binary())
    fits = pc.equal(pa.array(batch.keys, pa.binary()), keys).fill_null(False)
    fits = pc.and_(fits, pc.equal(tenant, DEFAULT_TENANT))
    fits = pc.and_(fits, pc.is_in(table["type"].combine_chunks(), value_set=pa.array(_clients_types(event_types))))
    times_ms = table["event_time"].combine_chunks().view(pa.int64()).to_numpy() // 1000
    unfit: Mask = ~fits.to_numpy(zero_copy_only=False).astype(np.bool_)
    unfit |= times_ms > batch.times_ms + FUTURE_MS
    return unfit


def _only(batch: Batch, rows: I64) -> Batch:
    some = rows.tolist()
    return Batch(
        topic=batch.topic,
        partitions=batch.partitions[rows],
        offsets=batch.offsets[rows],
        times_ms=batch.times_ms[rows],
        keys=[batch.keys[i] for i in some],
        values=[batch.values[i] for i in some],
        headers=[batch.headers[i] for i in some],
        starts=batch.starts,
        ends=batch.ends,
    )
