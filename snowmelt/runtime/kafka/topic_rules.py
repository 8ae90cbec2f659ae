"""What a topic must be like for the promises of docs/delivery.md to hold, and the commands that mend it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snowmelt.contracts import topics
from snowmelt.contracts.clock import DAY_MS
from snowmelt.runtime.config import ConfigError
from snowmelt.runtime.kafka.admin import COMPACTED, Admin, TopicState, house_topics

RETENTION_MS = 7 * DAY_MS
"""The least: how long both lanes may stand still, and how old a copy of Redis may be, before records are lost."""
RETENTION_BYTES = 1 << 30
"""The least of a partition: the 1,000,000 offsets of the duplicate window at 1 KiB a record."""
MESSAGE_BYTES = (1_048_588, 16 * 1_048_576)
"""Least and most of ``max.message.bytes``: what the house sends, and what a lane can hold beside others."""
NODES = 3
"""With so many brokers a topic is kept on three, of which two must have a record before it is acknowledged."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a topic: what, and the command that mends it.

    Attributes:
        config: the settings that mend it, where settings do.
    """

    topic: str
    said: str
    command: str
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What is asked of the topics of one installation.

    Attributes:
        bootstrap: as the commands name it.
        nodes: the ids of the brokers.
        least_partitions: what the operator has said; 1 where nothing was said.
        historical: whether records carry a clock that is not today's, so that no age may delete them.
    """

    bootstrap: str
    nodes: Sequence[int]
    least_partitions: int = 1
    historical: bool = False

    def faults(self, state: TopicState) -> list[Fault]:
        """Everything wrong with a topic, the settings first."""
        wrong = list(self._settings(state))
        if len(state.replicas) < self.least_partitions:
            said = f"has {len(state.replicas)} partitions, not the {self.least_partitions} that were asked for"
            options = f"--alter --topic {state.name} --partitions {self.least_partitions}"
            wrong.append(Fault(state.name, said, self._tool("topics", options)))
        least = min(map(len, state.replicas))
        if len(self.nodes) >= NODES and least < NODES:
            said = f"is kept on {least} of {len(self.nodes)} nodes: one that fails would lose acknowledged records"
            options = "--execute --reassignment-json-file FILE   # snowmelt topics check --reassignment > FILE"
            wrong.append(Fault(state.name, said, self._tool("reassign-partitions", options)))
        return wrong

    def missing(self, name: str) -> Fault:
        """The fault of a topic that is not there."""
        return Fault(name, "does not exist", "snowmelt topics create")

    def _settings(self, state: TopicState) -> Iterator[Fault]:
        def wrong(key: str, value: object, why: str) -> Fault:
            said = f"{key} is {state.config.get(key)}: {why}"
            options = f"--alter --entity-type topics --entity-name {state.name} --add-config {key}={value}"
            return Fault(state.name, said, self._tool("configs", options), {key: str(value)})

        def number(key: str, default: int) -> int:
            return int(state.config.get(key, default))

        policy = "compact" if state.name in COMPACTED else "delete"
        if state.config.get("cleanup.policy") != policy:
            why = "the newest record of each key must stay" if policy == "compact" else "every record must stay"
            yield wrong("cleanup.policy", policy, why)
        if state.name in (topics.EVENTS, topics.IMPRESSIONS):
            kept_ms, kept_bytes = number("retention.ms", -1), number("retention.bytes", -1)
            if kept_ms >= 0 and self.historical:
                yield wrong("retention.ms", -1, "records carry the clock of the data, and would be too old at once")
            elif 0 <= kept_ms < RETENTION_MS:
                yield wrong("retention.ms", -1, f"the lanes need 7 days, {RETENTION_MS}, or -1")
            if 0 <= kept_bytes < RETENTION_BYTES:
                yield wrong("retention.bytes", -1, f"the duplicate window needs {RETENTION_BYTES} a partition, or -1")
        if state.config.get("message.timestamp.type", "CreateTime") != "CreateTime":
            yield wrong("message.timestamp.type", "CreateTime", "the record's time must be its sender's")
        if state.config.get("unclean.leader.election.enable", "false") != "false":
            yield wrong("unclean.leader.election.enable", "false", "acknowledged records could be lost")
        low, high = MESSAGE_BYTES
        if not low <= number("max.message.bytes", low) <= high:
            yield wrong("max.message.bytes", low, f"it must be between {low} and {high}")
        replication = min(map(len, state.replicas))
        in_sync = number("min.insync.replicas", 1)
        if len(self.nodes) >= NODES and replication >= NODES and not 2 <= in_sync < replication:
            why = "one node could acknowledge alone" if in_sync < 2 else "one node that fails would stop every write"
            yield wrong("min.insync.replicas", 2, why)

    def _tool(self, name: str, options: str) -> str:
        return f"kafka-{name}.sh --bootstrap-server {self.bootstrap} {options}"

    def reassignment(self, states: Sequence[TopicState]) -> str:
        """What kafka-reassign-partitions.sh takes, so that each partition lies on three nodes; those it has stay."""
        moved = []
        for state in states:
            for number, replicas in enumerate(state.replicas):
                others = [node for node in self.nodes if node not in replicas]
                turn = number % len(others) if others else 0
                wanted = [*replicas, *others[turn:], *others[:turn]][: max(NODES, len(replicas))]
                if len(wanted) > len(replicas):
                    moved.append({"topic": state.name, "partition": number, "replicas": wanted})
        return json.dumps({"version": 1, "partitions": moved})


def unequal(states: Mapping[str, TopicState]) -> str:
    """A remark where events and impressions differ in their number of partitions; empty where they do not.

    Both have the same key, so that equal numbers give a user one partition number in both. Nothing of the house
    rests on it; who joins the two topics partition by partition does.
    """
    counts = [len(states[name].replicas) for name in (topics.EVENTS, topics.IMPRESSIONS) if name in states]
    if len(set(counts)) < 2:
        return ""
    return f"{topics.EVENTS} has {counts[0]} partitions and {topics.IMPRESSIONS} {counts[1]}: a user differs in both"


def require(admin: Admin, names: Sequence[str], rules: Rules) -> None:
    """Refuses topics that would break a promise.

    Raises:
        ConfigError: naming each fault and the command that mends it.
        SnowmeltError: UNAVAILABLE.
    """
    states = admin.describe(names)
    faults = [fault for state in states.values() for fault in rules.faults(state)]
    if faults:
        raise ConfigError("\n".join(f"{each.topic}: {each.said}; run: {each.command}" for each in faults))


def create_missing(admin: Admin, names: Sequence[str], partitions: int) -> None:
    """Makes those of the house's topics that are not there, on three nodes where there are so many.

    Raises:
        SnowmeltError: UNAVAILABLE.
    """
    there = admin.partitions(names)
    if len(there) < len(names):
        replication = NODES if len(admin.nodes()) >= NODES else -1
        wanted = house_topics(partitions, replication)
        admin.create_topics(spec for spec in wanted if spec.name in names and spec.name not in there)
