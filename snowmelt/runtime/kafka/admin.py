"""Administration: create topics, learn a topic's incarnation and partitions, and where its log begins and ends."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError

TIMEOUT_S = 10.0
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True)
class TopicSpec:
    """A topic to be made; ``config`` is Kafka's own."""

    name: str
    partitions: int = 8
    compacted: bool = False
    config: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Watermarks:
    """The first offset a partition still holds and the one that will be written next."""

    low: int
    high: int


def house_topics(partitions: int = 8) -> tuple[TopicSpec, ...]:
    """The five topics of the house; catalogue and users keep the newest record of each key for ever.

    The others are not expired by time: records carry the clock of the data, and Kafka would delete a historical data
    set as too old soon after it came. Bound them by ``retention.bytes``, beyond what both lanes may lag.
    """
    return tuple(
        TopicSpec(name, partitions, compacted=True)
        if name in (topics.CATALOG, topics.USERS)
        else TopicSpec(name, partitions, config={"retention.ms": "-1"})
        for name in (*topics.LAKE_TOPICS, topics.DEAD_LETTERS)
    )


class Admin:
    """A client for administration; every call waits at most ``timeout_s``."""

    def __init__(self, bootstrap: str, timeout_s: float = TIMEOUT_S) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._timeout_s = timeout_s

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        """Makes the topics that are not there yet, and waits until the brokers know them.

        Raises:
            SnowmeltError: UNAVAILABLE, or INVALID_FIELD where the broker refuses a topic.
        """
        wanted = {spec.name: spec for spec in specs}
        new = [_new_topic(spec) for spec in wanted.values()]
        for name, future in self._client.create_topics(new, operation_timeout=self._timeout_s).items():
            try:
                future.result(self._timeout_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise _unavailable(f"topic {name} cannot be made", error) from error
        deadline = time.monotonic() + self._timeout_s
        while any(self.partitions(list(wanted)).get(name) is None for name in wanted):
            if time.monotonic() > deadline:
                raise SnowmeltError(Reason.UNAVAILABLE, f"Kafka does not show its new topics: {sorted(wanted)}")
            time.sleep(0.05)

    def partitions(self, names: Sequence[str]) -> dict[str, int]:
        """How many partitions each topic has; topics that do not exist are absent.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        try:
            found = self._client.list_topics(timeout=self._timeout_s).topics
        except KafkaException as error:
            raise _unavailable("Kafka cannot be asked for its topics", error) from error
        return {n: len(found[n].partitions) for n in names if n in found and found[n].partitions}

    def incarnations(self, names: Sequence[str], configured: str = "") -> dict[str, str]:
        """What tells a topic from another of the same name made later: Kafka's topic id.

        Args:
            names: the topics.
            configured: stands for the id of every topic where the broker keeps none (the embedded one).

        Raises:
            SnowmeltError: UNAVAILABLE, or INVALID_FIELD where there is no id and none is configured.
        """
        if configured:
            return dict.fromkeys(names, configured)
        ids: dict[str, str] = {}
        for name, future in self._client.describe_topics(
            TopicCollection(list(names)), request_timeout=self._timeout_s
        ).items():
            try:
                ids[name] = str(future.result(self._timeout_s + 1).topic_id)
            except KafkaException as error:
                raise _unavailable(f"topic {name} cannot be described", error) from error
            if ids[name] == _NO_TOPIC_ID:
                raise SnowmeltError(
                    Reason.INVALID_FIELD, f"the broker has no id for {name}: set SNOWMELT_KAFKA_INCARNATION"
                )
        return ids

    def watermarks(self, names: Sequence[str]) -> dict[tuple[str, int], Watermarks]:
        """Where each partition of the topics begins and ends now.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        places = [(name, p) for name, count in self.partitions(names).items() for p in range(count)]
        low = self._offsets(places, _EARLIEST)
        high = self._offsets(places, _LATEST)
        return {place: Watermarks(low[place], high[place]) for place in places}

    def _offsets(self, places: Sequence[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        deadline = time.monotonic() + self._timeout_s
        found: dict[tuple[str, int], int] = {}
        while left := [place for place in places if place not in found]:
            request = {TopicPartition(*place): spec for place in left}
            for where, future in self._client.list_offsets(request, request_timeout=self._timeout_s).items():
                try:
                    found[where.topic, where.partition] = future.result(self._timeout_s + 1).offset
                except KafkaException as error:
                    if time.monotonic() > deadline or not _passing(error.args[0]):
                        raise _unavailable(f"{where.topic}/{where.partition} has no offsets", error) from error
                    time.sleep(0.05)
        return found


def _passing(error: KafkaError) -> bool:
    """Whether the error is that of a partition whose leader is being chosen."""
    return error.code() in (
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TRANSPORT,
    )


def _new_topic(spec: TopicSpec) -> NewTopic:
    policy = {"cleanup.policy": "compact"} if spec.compacted else {}
    return NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=-1, config=policy | spec.config)


def _unavailable(what: str, error: KafkaException) -> SnowmeltError:
    return SnowmeltError(Reason.UNAVAILABLE, f"{what}: {error.args[0].str()}")
