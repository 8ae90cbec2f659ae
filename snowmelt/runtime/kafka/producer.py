"""The one producer: idempotent, acknowledged by all in-sync replicas, deliveries as futures."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from snowmelt.contracts.errors import Reason, SnowmeltError

Headers = Mapping[str, bytes]


@dataclass(frozen=True)
class Delivery:
    """Where Kafka has put a record."""

    topic: str
    partition: int
    offset: int


class Producer:
    """Sends records; a thread of its own serves the deliveries.

    Args:
        bootstrap: Kafka's addresses.
        client_id: shows in Kafka's logs and metrics.
        linger_ms: how long a record may wait for others to travel with.
        delivery_timeout_ms: after it a record that is not acknowledged has failed.
        max_record_bytes: larger records are refused here.
    """

    def __init__(
        self,
        bootstrap: str,
        client_id: str = "snowmelt",
        *,
        linger_ms: float = 1.0,
        delivery_timeout_ms: int = 30_000,
        max_record_bytes: int = 1_048_576,
    ) -> None:
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client_id,
                "enable.idempotence": True,
                "linger.ms": linger_ms,
                "delivery.timeout.ms": delivery_timeout_ms,
                "message.max.bytes": max_record_bytes,
                "partitioner": "murmur2_random",
                "log_level": 3,
            }
        )
        self._failures: list[str] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="kafka-deliveries", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(0.05)

    async def send(
        self, topic: str, key: bytes, value: bytes, timestamp_ms: int, headers: Headers | None = None
    ) -> Delivery:
        """Sends one record and awaits its acknowledgement.

        Raises:
            SnowmeltError: UNAVAILABLE where Kafka did not acknowledge it in time.
        """
        return await asyncio.wrap_future(self.submit(topic, key, value, timestamp_ms, headers))

    def submit(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers | None = None
    ) -> Future[Delivery]:
        """Queues one record; the future holds its place in Kafka, or SnowmeltError UNAVAILABLE."""
        future: Future[Delivery] = Future()
        # A record on its way cannot be called back: whoever waits may give up, the delivery still has where to go.
        future.set_running_or_notify_cancel()

        def delivered(error: KafkaError | None, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if error is None and partition is not None and offset is not None:
                future.set_result(Delivery(topic, partition, offset))
            else:
                why = error.str() if error is not None else "it has no place"
                future.set_exception(SnowmeltError(Reason.UNAVAILABLE, f"Kafka did not take the record: {why}"))

        try:
            self._producer.produce(
                topic, value, key, on_delivery=delivered, timestamp=timestamp_ms, headers=_listed(headers)
            )
        except (BufferError, KafkaException) as error:
            future.set_exception(SnowmeltError(Reason.UNAVAILABLE, f"the producer cannot take the record: {error}"))
        return future

    def post(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        headers: Headers | None = None,
        *,
        delivered: Callable[[Delivery], None] | None = None,
    ) -> None:
        """Queues one record of a bulk load, waiting while the queue is full; ``flush`` tells of failures.

        Args:
            delivered: called with the record's place, on another thread, where that is of interest.

        Raises:
            SnowmeltError: UNAVAILABLE where the client refuses the record.
        """

        def noted(error: KafkaError | None, message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if error is not None:
                self._failures.append(error.str())
            elif delivered is not None and partition is not None and offset is not None:
                delivered(Delivery(topic, partition, offset))

        while True:
            try:
                self._producer.produce(
                    topic, value, key, on_delivery=noted, timestamp=timestamp_ms, headers=_listed(headers)
                )
            except BufferError:
                self._producer.poll(0.05)
            except KafkaException as error:
                raise SnowmeltError(Reason.UNAVAILABLE, f"the producer cannot take the record: {error}") from error
            else:
                return

    def __len__(self) -> int:
        """How many records wait for their acknowledgements."""
        return len(self._producer)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Waits until everything queued is acknowledged.

        Raises:
            SnowmeltError: UNAVAILABLE where time has passed or a record posted since the last flush has failed.
        """
        left = self._producer.flush(timeout_s)
        failures, self._failures = self._failures, []
        if left:
            raise SnowmeltError(Reason.UNAVAILABLE, f"{left} records were not acknowledged within {timeout_s:.0f} s")
        if failures:
            raise SnowmeltError(Reason.UNAVAILABLE, f"{len(failures)} records failed, the first: {failures[0]}")

    def close(self, timeout_s: float = 10.0) -> None:
        """Waits for what is queued, then ends the thread; raises as ``flush`` does."""
        try:
            self.flush(timeout_s)
        finally:
            self._closing.set()
            self._thread.join()


def _listed(headers: Headers | None) -> list[tuple[str, str | bytes | None]] | None:
    return list(headers.items()) if headers else None
