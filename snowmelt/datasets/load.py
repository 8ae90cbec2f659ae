"""Sends a data set through Kafka, as its users would have: nothing is written to a store from the side."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import record_key, session_entity
from snowmelt.datasets import messages
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.datasets.messages import Row
from snowmelt.runtime.kafka.producer import Delivery, Producer

CHECK_EVERY, CHECK_BYTES = 5_000, 1_048_576
"""After so many records, or so many bytes of them, the pace is asked."""


class Pace(Protocol):
    """Keeps a load from running away from those who read it."""

    def delivered(self, place: Delivery, size_bytes: int) -> None:
        """Hears of each record that Kafka has acknowledged, on another thread."""

    def wait(self) -> None:
        """Returns when more may be sent; all that was posted is acknowledged."""


class Landed(Protocol):
    """What the lake already holds, so that a load that was stopped goes on where it ended."""

    def ids(self, table: str, column: str) -> pa.Array:
        """The values of an id column of a lake table; empty where there is no table yet."""


@dataclass(frozen=True)
class Loaded:
    """How many records were sent, how many the lake held already, and how many became dead letters meanwhile."""

    sent: dict[str, int]
    skipped: dict[str, int]
    dead_lettered: int = 0

    def lines(self) -> list[str]:
        """What came of it, for people."""
        sent, skipped = sum(self.sent.values()), sum(self.skipped.values())
        held = f"; the lake held {skipped:,} already" if skipped else ""
        lines = [f"sent {sent:,} records{held}"]
        if self.dead_lettered:
            lines.append(f"{self.dead_lettered:,} became dead letters; `snowmelt deadletters list` says which and why")
        return lines


def load(
    data: DataSet,
    producer: Producer,
    *,
    tenant: str,
    clock: Clock,
    landed: Landed,
    pace: Pace,
    progress: Progress,
) -> Loaded:
    """Sends catalogue, users and events, in time order each, and waits until Kafka has acknowledged them.

    Raises:
        SnowmeltError: UNAVAILABLE where Kafka does not take a record.
    """
    parts = (
        ("catalogue", topics.CATALOG, data.catalogue, "item_id", catalogue_records),
        ("users", topics.USERS, data.users, "user_id", _users),
        ("events", topics.EVENTS, data.events, "event_id", _events),
    )
    sent, skipped = {}, {}
    for name, topic, table, column, records in parts:
        left = _not_landed(table, column, landed.ids(topic.removeprefix("snowmelt."), column))
        skipped[name], sent[name] = len(table) - len(left), len(left)
        records_since, bytes_since = 0, 0
        for count, (key, value) in enumerate(records(left, tenant), start=1):
            size = len(key) + len(value)
            producer.post(topic, key, value, clock.now_ms(), delivered=partial(pace.delivered, size_bytes=size))
            records_since, bytes_since = records_since + 1, bytes_since + size
            if records_since == CHECK_EVERY or bytes_since >= CHECK_BYTES or count == len(left):
                producer.flush()
                pace.wait()
                progress(name, skipped[name] + count, len(table))
                records_since, bytes_since = 0, 0
    return Loaded(sent, skipped)


def _not_landed(table: pa.Table, column: str, ids: pa.Array) -> pa.Table:
    if column != "item_id":
        return table.filter(pc.invert(pc.is_in(table[column], value_set=ids)))
    # An item comes again where its content changed, and the lake keeps every version: what counts is how many it has.
    have: dict[str, int] = dict(zip(*_counts(ids), strict=True))
    seen: dict[str, int] = {}
    keep = []
    for item in table[column].to_pylist():
        seen[item] = seen.get(item, 0) + 1
        keep.append(seen[item] > have.get(item, 0))
    return table.filter(pa.array(keep, pa.bool_()))


def _counts(ids: pa.Array) -> tuple[list[str], list[int]]:
    counted = pc.value_counts(ids)
    return counted.field("values").to_pylist(), counted.field("counts").to_pylist()


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def catalogue_records(table: pa.Table, tenant: str) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of the record of each row of a catalogue."""
    for row in _rows(table):
        change = pb.CatalogChange(upsert=messages.item(row, tenant))
        yield record_key(tenant, row["item_id"]), change.SerializeToString()


def _users(table: pa.Table, tenant: str) -> Iterator[tuple[bytes, bytes]]:
    for row in _rows(table):
        yield record_key(tenant, row["user_id"]), messages.user(row, tenant).SerializeToString()


def _events(table: pa.Table, tenant: str) -> Iterator[tuple[bytes, bytes]]:
    for row in _rows(table):
        entity = row["user_id"] or session_entity(row["session_id"])
        yield record_key(tenant, entity), messages.event(row, tenant).SerializeToString()
