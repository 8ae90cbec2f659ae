"""A reader that starts where its sink ends, never resets by itself, and hands records on as columns."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import Any

import confluent_kafka
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from snowmelt.contracts.errors import Reason, SnowmeltError

_LOG = logging.getLogger(__name__)
_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
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
        """What values, keys and headers take."""
        named = (len(name) + len(value or b"") for held in self.headers if held for name, value in held)
        return sum(map(len, filter(None, self.values))) + sum(map(len, filter(None, self.keys))) + sum(named)

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
    """What one poll brought: records, partitions whose position the log does not hold, topics that nobody knows."""

    records: list[Records]
    out_of_range: list[Place]
    unknown: tuple[str, ...] = ()


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
        self._read: set[Place] = set()  # the client does not say what it reads while it closes

    def assign(self, offsets: Mapping[Place, int]) -> None:
        """Reads these partitions from these offsets, outside of any group."""
        self._consumer.assign([TopicPartition(t, p, o) for (t, p), o in offsets.items()])

    def subscribe(
        self, topics: Sequence[str], given: Callable[[list[Place]], None], taken: Callable[[list[Place]], None]
    ) -> None:
        """Joins the group; both callbacks run inside of ``poll``, and hold up the whole group while they do.

        What the group has given is read from ``begin`` on: a sink need not have answered within the callback.
        """

        def on_assign(consumer: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
            given([(tp.topic, tp.partition) for tp in places])
            consumer.incremental_assign([])

        def on_revoke(_: confluent_kafka.Consumer, places: list[TopicPartition]) -> None:
            taken([(tp.topic, tp.partition) for tp in places])
            self.leave([(tp.topic, tp.partition) for tp in places])

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)

    def begin(self, offsets: Mapping[Place, int]) -> None:
        """Reads these partitions too, from these offsets; in a group they must be those that it has given.

        Raises:
            SnowmeltError: UNAVAILABLE where the client refuses them.
        """
        try:
            self._consumer.incremental_assign([TopicPartition(t, p, o) for (t, p), o in offsets.items()])
        except KafkaException as error:
            raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka cannot be read: {error.args[0].str()}") from error
        self._read.update(offsets)

    def leave(self, places: Iterable[Place]) -> None:
        """Reads these partitions no more, where they were read."""
        left = self._read.intersection(places)
        self._read -= left
        self._consumer.incremental_unassign([TopicPartition(*place) for place in left])

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
        unknown = {str(each.topic()) for each in messages if (why := each.error()) and why.code() in _UNKNOWN}
        return Polled(_runs([each for each in messages if each.error() is None]), lost, tuple(sorted(unknown)))

    def pause(self, places: Iterable[Place]) -> None:
        """Fetches nothing more of these partitions until ``resume``."""
        self._consumer.pause([TopicPartition(*place) for place in places])

    def resume(self, places: Iterable[Place]) -> None:
        """Ends ``pause``; of those that are read no more nothing is left to end."""
        with suppress(KafkaException):
            self._consumer.resume([TopicPartition(*place) for place in places])

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Tells the group's displays how far the sink is; failures do no harm and are not raised."""
        try:
            self._consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in offsets.items()], asynchronous=True)
        except KafkaException:
            return

    def close(self) -> None:
        """Leaves the group; where that fails, the group learns of it by the session's end."""
        try:
            self._consumer.close()
        except KafkaException as error:
            _LOG.warning("Kafka's client could not be closed: %s", error.args[0].str())


def _lost(message: Any) -> Place | None:
    """The partition whose position the log does not hold, where the message says so."""
    trouble = message.error()
    if trouble is None:
        return None
    if trouble.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        _LOG.warning("%s/%s: %s", message.topic(), message.partition(), trouble.str())
        return message.topic(), message.partition()
    if trouble.fatal():
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
