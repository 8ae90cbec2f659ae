"""Administration: create topics, learn a topic's incarnation and partitions, and where its log begins and ends."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.asking import Asker, code_of, passing, require_listener

TIMEOUT_S = 10.0
COMPACTED = (topics.CATALOG, topics.USERS)
KEPT = {"retention.ms": "-1"}
_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_URL_SAFE = str.maketrans("+/", "-_")
_NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True)
class TopicSpec:
    """A topic to be made; ``config`` is Kafka's own."""

    name: str
    partitions: int = 8
    compacted: bool = False
    config: dict[str, str] = field(default_factory=dict)
    replication: int = -1
    """-1: as the broker does by default."""


@dataclass(frozen=True)
class TopicState:
    """A topic as the brokers have it: the nodes of each partition's replicas, and Kafka's own settings."""

    name: str
    replicas: tuple[tuple[int, ...], ...]
    config: Mapping[str, str]


@dataclass(frozen=True)
class Watermarks:
    """The first offset a partition still holds and the one that will be written next."""

    low: int
    high: int


def house_topics(partitions: int = 8, replication: int = -1) -> tuple[TopicSpec, ...]:
    """The five topics of the house; catalogue and users keep the newest record of each key for ever.

    The others are not expired by time: records carry the clock of the data, and Kafka would delete a historical data
    set as too old soon after it came. Bound them by ``retention.bytes``, beyond what both lanes may lag.
    """
    in_sync = {"min.insync.replicas": "2"} if replication > 2 else {}
    return tuple(
        TopicSpec(name, partitions, name in COMPACTED, in_sync | ({} if name in COMPACTED else KEPT), replication)
        for name in (*topics.LAKE_TOPICS, topics.DEAD_LETTERS)
    )


def printed_id(topic_id: str) -> str:
    """A topic id as Kafka's own tools print it: the client's has "+" and "/", which a path cannot hold."""
    return topic_id.translate(_URL_SAFE)


class Admin:
    """A client for administration; every call waits at most ``timeout_s``."""

    def __init__(self, bootstrap: str, timeout_s: float = TIMEOUT_S) -> None:
        self._asker = Asker(bootstrap, timeout_s)
        self._timeout_s = timeout_s

    @classmethod
    def at_once(cls, bootstrap: str, timeout_s: float = TIMEOUT_S) -> "Admin":
        """For who sits and waits; see ``require_listener``.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        require_listener(bootstrap)
        return cls(bootstrap, timeout_s)

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        """Makes the topics that are not there yet, and waits until the brokers know them.

        Raises:
            SnowmeltError: UNAVAILABLE, or INVALID_FIELD where the broker refuses a topic.
        """
        wanted = {spec.name: spec for spec in specs}
        new = [_new_topic(spec) for spec in wanted.values()]
        asked = self._asker.client.create_topics(new, operation_timeout=self._timeout_s)
        for name, future in asked.items():
            self._answer(f"topic {name} cannot be made", future, KafkaError.TOPIC_ALREADY_EXISTS)
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
        found = self._asker.metadata().topics
        return {n: len(found[n].partitions) for n in names if n in found and found[n].partitions}

    def nodes(self) -> list[int]:
        """The ids of the brokers that answer now.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        return sorted(self._asker.metadata().brokers)

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Replicas and settings of each topic; topics that do not exist are absent.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        found = self._asker.metadata().topics
        there = [name for name in names if name in found and found[name].partitions]
        if not there:
            return {}
        asked = self._asker.client.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name) for name in there], request_timeout=self._timeout_s
        )
        states: dict[str, TopicState] = {}
        for resource, future in asked.items():
            entries = self._answer(f"the settings of {resource.name} cannot be read", future)
            config = {key: str(entry.value) for key, entry in entries.items()}
            partitions = found[resource.name].partitions
            replicas = tuple(tuple(partitions[number].replicas) for number in sorted(partitions))
            states[resource.name] = TopicState(resource.name, replicas, config)
        return states

    def set_config(self, name: str, config: Mapping[str, str]) -> None:
        """Changes these settings of a topic and no others.

        Raises:
            SnowmeltError: UNAVAILABLE, also where the broker refuses.
        """
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        asked = self._asker.client.incremental_alter_configs([resource], request_timeout=self._timeout_s)
        for future in asked.values():
            self._answer(f"the settings of {name} cannot be changed", future)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What a consumer group has committed; empty where there is no such group.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        asked = self._asker.client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=self._timeout_s
        )
        answer = self._answer(
            f"the offsets of group {group} cannot be read", asked[group], KafkaError.GROUP_ID_NOT_FOUND
        )
        if answer is None:
            return {}
        return {(tp.topic, tp.partition): tp.offset for tp in answer.topic_partitions if tp.offset >= 0}

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
        for name, answer in self.ask_incarnations(names).items():
            found = answer()
            if found is None:
                raise SnowmeltError(
                    Reason.UNAVAILABLE, f"topic {name} does not exist: `snowmelt topics create` makes it"
                )
            ids[name] = found
            if ids[name] == _NO_TOPIC_ID:
                raise SnowmeltError(
                    Reason.INVALID_FIELD, f"the broker has no id for {name}: set SNOWMELT_KAFKA_INCARNATION"
                )
        return ids

    def ask_incarnations(self, names: Sequence[str]) -> dict[str, Callable[[], str | None]]:
        """Asks for the topics' ids without waiting; by topic what waits for its id, None where there is no such topic.

        What waits raises SnowmeltError UNAVAILABLE.
        """
        client = self._asker.client
        asked = client.describe_topics(TopicCollection(list(names)), request_timeout=self._timeout_s)
        return {name: partial(self._topic_id, client, name, future) for name, future in asked.items()}

    def _topic_id(self, _: AdminClient, name: str, future: Any) -> str | None:
        """What a question of that client was answered, which must live until then."""
        found = self._answer(f"topic {name} cannot be described", future, KafkaError.UNKNOWN_TOPIC_OR_PART)
        return None if found is None else printed_id(str(found.topic_id))

    def watermarks(self, names: Sequence[str]) -> dict[tuple[str, int], Watermarks]:
        """Where each partition of the topics begins and ends now.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        return self.marks([(name, p) for name, count in self.partitions(names).items() for p in range(count)])

    def marks(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Watermarks]:
        """Where some partitions begin and end now.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        low = self._offsets(places, _EARLIEST)
        high = self._offsets(places, _LATEST)
        return {place: Watermarks(low[place], high[place]) for place in places}

    def offsets_at(self, places: Sequence[tuple[str, int]], time_ms: int) -> dict[tuple[str, int], int]:
        """The first offset of each place whose record is of this Kafka time or newer; its end where there is none.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        spec = OffsetSpec.for_timestamp(time_ms)
        found = self._offsets(places, spec)
        ends = self._offsets([place for place in places if found[place] < 0], _LATEST)
        return found | ends

    def _answer(self, what: str, future: Any, allowed: int | None = None) -> Any:
        """What a future holds; None where it failed with the code ``allowed``."""
        with self._asker.failing(what):
            try:
                return future.result(self._timeout_s + 1)
            except KafkaException as error:
                if code_of(error) != allowed:
                    raise
                return None

    def _offsets(self, places: Sequence[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        deadline = time.monotonic() + self._timeout_s
        found: dict[tuple[str, int], int] = {}
        while left := [place for place in places if place not in found]:
            try:
                self._ask_offsets(left, spec, found, deadline)
            except SnowmeltError as error:
                if time.monotonic() > deadline or not passing(error):
                    raise
                time.sleep(0.05)
        return found

    def _ask_offsets(
        self, places: Sequence[tuple[str, int]], spec: OffsetSpec, found: dict[tuple[str, int], int], deadline: float
    ) -> None:
        client = self._asker.reach_leaders(places, deadline)
        request = {TopicPartition(*place): spec for place in places}
        for where, future in client.list_offsets(request, request_timeout=self._timeout_s).items():
            what = f"{where.topic}/{where.partition} has no offsets"
            offset = self._answer(what, future).offset
            with self._asker.failing(what):
                if offset < -1:  # what the client says where it was not told in time
                    raise TimeoutError
            found[where.topic, where.partition] = offset


def _new_topic(spec: TopicSpec) -> NewTopic:
    policy = {"cleanup.policy": "compact"} if spec.compacted else {}
    return NewTopic(
        spec.name, num_partitions=spec.partitions, replication_factor=spec.replication, config=policy | spec.config
    )
