"""A reader that starts where its sink ends, never resets by itself, and hands records on as columns."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import Any

import confluent_kafka
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.admin import Watermarks

_LOG = logging.getLogger(__name__)
SEEK_S = 5.0
Place = tuple[str, int]
"""Topic and partition."""
UNREADABLE: list[tuple[str, bytes]] = []
"""Stands for the headers of a record with a header whose name is no UTF-8: the client cannot hand them on."""


@dataclass(frozen=True)
class Records:
    """Consecutive records of one partition as columns of equal length."""

    topic: str
    partition: int
    offsets: list[int]
    times_ms: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[list[tuple[str, bytes]] | None]

    @cached_property
    def size_bytes(self) -> int:
        """What the values take."""
        return sum(map(len, filter(None, self.values)))

    def cut(self, count: int) -> "tuple[Records, Records]":
        """The first ``count`` records and the others."""
        return self._slice(slice(count)), self._slice(slice(count, None))

    def _slice(self, some: slice) -> "Records":
        return Records(
            self.topic,
            self.partition,
            self.offsets[some],
            self.times_ms[some],
            self.keys[some],
            self.values[some],
            self.headers[some],
        )


@dataclass(frozen=True)
class Polled:
    """What one poll brought: records, and the partitions whose position the log does not hold."""

    records: list[Records]
    out_of_range: list[Place]


Assigned = Callable[[list[Place]], Mapping[Place, int]]
"""Says for each new partition at which offset to begin; a partition left out is not read."""


class Consumer:
    """Reads partitions that it is given, or that a group's cooperative assignment gives it.

    Args:
        bootstrap: Kafka's addresses.
        group: names the consumer group; committed offsets are for lag displays only.
        member: a stable name of this process for static membership; empty: none.
        session_s: the group takes a member for dead after so long without a sign of it.
        queue_kbytes, queue_records: how much may be fetched ahead.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        *,
        member: str = "",
        session_s: int = 45,
        queue_kbytes: int = 8_192,
        queue_records: int = 20_000,
    ) -> None:
        settings: dict[str, str | int | bool] = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "session.timeout.ms": session_s * 1000,
            "heartbeat.interval.ms": min(3000, session_s * 1000 // 4),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "partition.assignment.strategy": "cooperative-sticky",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": queue_kbytes,
            "queued.min.messages": queue_records,  # a short record takes several times its size, hence two bounds
            "fetch.queue.backoff.ms": 10,
            # The embedded broker answers a waiting fetch at the end of the wait alone, whatever comes meanwhile.
            "fetch.wait.max.ms": 25,
            "fetch.message.max.bytes": 1_048_576,  # of a partition; a larger record is fetched all the same
            "fetch.max.bytes": 8_388_608,
            "log_level": 3,
        }
        if member:
            settings["group.instance.id"] = member
        self._consumer = confluent_kafka.Consumer(settings)

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Reads these partitions from these offsets, outside of any group."""
        self._consumer.assign([TopicPartition(t, p, o) for (t, p), o in offsets.items()])

    def subscribe(self, topics: Sequence[str], assigned: Assigned, revoked: Callable[[list[Place]], None]) -> None:
        """Joins the group; both callbacks run inside of ``poll``."""

        def on_assign(consumer: confluent_kafka.Consumer, given: list[TopicPartition]) -> None:
            offsets = assigned([(tp.topic, tp.partition) for tp in given])
            consumer.incremental_assign([TopicPartition(t, p, o) for (t, p), o in offsets.items()])

        def on_revoke(consumer: confluent_kafka.Consumer, taken: list[TopicPartition]) -> None:
            revoked([(tp.topic, tp.partition) for tp in taken])
            held = {(tp.topic, tp.partition) for tp in consumer.assignment()}
            consumer.incremental_unassign([tp for tp in taken if (tp.topic, tp.partition) in held])

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Waits up to ``timeout_s`` for records.

        Raises:
            SnowmeltError: UNAVAILABLE where the client cannot go on; what mends itself is not raised.
        """
        try:
            messages = self._consumer.consume(max_records, timeout_s)
        except KafkaException as error:
            raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka cannot be read: {error.args[0].str()}") from error
        if all(trouble is None for trouble in map(Message.error, messages)):
            return Polled(_runs(messages), [])
        lost = [place for place in map(_lost, messages) if place is not None]
        return Polled(_runs([message for message in messages if message.error() is None]), lost)

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """Goes on at other offsets; what was fetched ahead is dropped.

        Raises:
            SnowmeltError: UNAVAILABLE where a partition is not read, or not within some seconds of its assignment.
        """
        deadline = time.monotonic() + SEEK_S
        for (topic, partition), offset in offsets.items():
            while True:
                try:
                    self._consumer.seek(TopicPartition(topic, partition, offset))
                except KafkaException as error:
                    if time.monotonic() > deadline:
                        detail = f"{topic}/{partition} cannot be sought: {error.args[0].str()}"
                        raise SnowmeltError(Reason.UNAVAILABLE, detail) from error
                    time.sleep(0.05)
                else:
                    break

    def pause(self, places: Iterable[Place]) -> None:
        """Fetches nothing more of these partitions until ``resume``."""
        self._consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, places: Iterable[Place]) -> None:
        """Ends ``pause``."""
        self._consumer.resume([TopicPartition(*place) for place in places])

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Tells the group's displays how far the sink is; failures do no harm and are not raised."""
        try:
            self._consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in offsets.items()], asynchronous=True)
        except KafkaException:
            return

    def watermarks(self, place: Place, timeout_s: float = 10.0) -> Watermarks:
        """Where the partition begins and ends now.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout_s)
        except KafkaException as error:
            raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka cannot be asked: {error.args[0].str()}") from error
        return Watermarks(low, high)

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()


def _lost(message: Any) -> Place | None:
    """The partition whose position the log does not hold, where the message says so."""
    trouble = message.error()
    if trouble is None:
        return None
    if trouble.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        _LOG.warning("%s/%s: %s", message.topic(), message.partition(), trouble.str())
        return message.topic(), message.partition()
    if trouble.fatal() or trouble.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka cannot be read: {trouble.str()}")
    return None


def _runs(messages: list[Any]) -> list[Records]:
    """The messages as columns, a place's in one piece or several; one call a field of each, and no line of Python."""
    if not messages:
        return []
    topics: list[Any] = list(map(Message.topic, messages))
    codes = {topic: code for code, topic in enumerate(set(topics))}
    partitions = np.array(list(map(Message.partition, messages)), np.int64)
    places = partitions + (np.fromiter(map(codes.__getitem__, topics), np.int64, len(messages)) << 32)
    bounds = [0, *(np.flatnonzero(places[1:] != places[:-1]) + 1).tolist(), len(messages)]
    return [_columns((topics[start], int(partitions[start])), messages[start:stop]) for start, stop in pairwise(bounds)]


def _columns(place: Place, messages: list[Any]) -> Records:
    offsets: list[Any] = list(map(Message.offset, messages))
    return Records(
        *place,
        offsets=offsets,
        times_ms=list(map(itemgetter(1), map(Message.timestamp, messages))),
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
        headers=_all_headers(messages),
    )


def _all_headers(messages: list[Any]) -> list[list[tuple[str, bytes]] | None]:
    """Each message is asked once: after it has failed, the client says that there are no headers."""
    found: list[list[tuple[str, bytes]] | None] = []
    left = iter(messages)
    while len(found) < len(messages):
        try:
            found.extend(map(Message.headers, left))  # type: ignore[arg-type]
        except (UnicodeDecodeError, SystemError):  # the client raises now one, now the other
            found.append(UNREADABLE)
    return found
