"""Why a record is no part of the data, and the row of ``dead_letters`` that keeps it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa

from services.ingest.batch import Batch
from snowmelt.lake.schemas import DEAD_LETTERS, PAYLOAD_BYTES, TABLES
from snowmelt.runtime.kafka.consumer import UNREADABLE

MAX_BYTES = PAYLOAD_BYTES
"""Of a record's value; larger ones are dead letters that keep hash and size alone."""
MAX_HEADERS = 100
FIRST_MS, LAST_MS = 0, 4_102_444_800_000
"""Bounds of a record's own Kafka time: from 1970 to 2100, as far as an event may lie. Producers may set any."""


class Why(StrEnum):
    """Every reason for a dead letter."""

    TOMBSTONE = "tombstone"
    OVERSIZED = "oversized"
    TOO_MANY_HEADERS = "too_many_headers"
    UNREADABLE_HEADERS = "unreadable_headers"
    INVALID_RECORD_TIME = "invalid_record_time"
    UNDECODABLE = "undecodable"
    SCHEMA_MISMATCH = "schema_mismatch"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_TENANT = "unknown_tenant"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    KEY_MISMATCH = "key_mismatch"
    FUTURE_EVENT_TIME = "future_event_time"


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a record; ``detail`` names the field where there is one."""

    why: Why
    detail: str


def gate(batch: Batch) -> dict[int, Verdict]:
    """Verdicts, by row, on records that need not be decoded."""
    found: dict[int, Verdict] = {}
    for i, value in enumerate(batch.values) if _odd_sizes(batch) else ():
        if value is None:
            found[i] = Verdict(Why.TOMBSTONE, "the record has no value")
        elif not value:
            found[i] = Verdict(Why.UNDECODABLE, "the value is empty")
        elif len(value) > MAX_BYTES:
            found[i] = Verdict(Why.OVERSIZED, f"the value has {len(value)} bytes, at most {MAX_BYTES} are taken")
    for i in np.flatnonzero((batch.times_ms < FIRST_MS) | (batch.times_ms > LAST_MS)).tolist():
        found.setdefault(i, Verdict(Why.INVALID_RECORD_TIME, f"{batch.times_ms[i]} ms is not from 1970 to 2100"))
    for i, headers in enumerate(batch.headers) if batch.headers.count(None) < len(batch) else ():
        if headers is UNREADABLE:
            found.setdefault(i, Verdict(Why.UNREADABLE_HEADERS, "the name of a header is no UTF-8"))
        elif headers is not None and len(headers) > MAX_HEADERS:
            found.setdefault(i, Verdict(Why.TOO_MANY_HEADERS, f"{len(headers)} headers, at most {MAX_HEADERS}"))
    return found


def _odd_sizes(batch: Batch) -> bool:
    try:
        sizes = list(map(len, batch.values))  # type: ignore[arg-type]
    except TypeError:  # a record without a value
        return True
    return min(sizes, default=1) == 0 or max(sizes, default=0) > MAX_BYTES


def dead_rows(batch: Batch, verdicts: Mapping[int, Verdict], incarnation: str) -> pa.Table:
    """The rows of ``dead_letters``, in the order of the batch; an impossible record time is put at its bound."""
    rows = []
    times_ms = np.clip(batch.times_ms, FIRST_MS, LAST_MS)
    for i in sorted(verdicts):
        value, verdict = batch.values[i], verdicts[i]
        rows.append(
            {
                "topic": batch.topic,
                "reason": str(verdict.why),
                "detail": verdict.detail[:1000],
                "key": None if (key := batch.keys[i]) is None else key[:MAX_BYTES],
                "payload": value if value is not None and len(value) <= MAX_BYTES else None,
                "payload_sha256": None if value is None else hashlib.sha256(value).hexdigest(),
                "payload_bytes": None if value is None else len(value),
                "incarnation": incarnation,
                "partition": int(batch.partitions[i]),
                "offset": int(batch.offsets[i]),
                "record_time": int(times_ms[i]) * 1000,
            }
        )
    return pa.Table.from_pylist(rows, schema=TABLES[DEAD_LETTERS])
