"""The log: Kafka, with the trace context in the records' headers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from services.gateway.ports import Record
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import record_key
from snowmelt.runtime import telemetry
from snowmelt.runtime.kafka.producer import Producer


class KafkaLog:
    """The port Log; a record's Kafka timestamp is the clock's now."""

    def __init__(self, producer: Producer, clock: Clock) -> None:
        self._producer, self._clock = producer, clock

    def submit(self, tenant: str, record: Record) -> "Future[Any]":
        """Hands over one record without waiting."""
        headers = {name: value.encode() for name, value in telemetry.inject().items()}
        key = record_key(tenant, record.entity)
        return self._producer.submit(record.topic, key, record.value, self._clock.now_ms(), headers)

    async def append(self, tenant: str, records: Sequence[Record]) -> None:
        """Returns when every record is acknowledged.

        Raises:
            SnowmeltError: UNAVAILABLE where one is not; the others may stand, and event ids make a repeat harmless.
        """
        await asyncio.gather(*(asyncio.wrap_future(self.submit(tenant, record)) for record in records))
