"""What a topic must be like: each fault is said with the command that mends it, and `topics create --mend` mends it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.contracts.topics import CATALOG, EVENTS, LAKE_TOPICS, USERS
from snowmelt.runtime.config import ConfigError
from snowmelt.runtime.kafka.admin import Admin, TopicState, house_topics
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.node import KafkaCluster, start_kafka
from snowmelt.runtime.kafka.topic_rules import Rules, create_missing, require, unequal

GOOD = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1048588"}
ONE = Rules("kafka:9092", [1])
THREE = Rules("kafka:9092", [1, 2, 3])


def state(name: str = EVENTS, replicas: tuple[tuple[int, ...], ...] = ((1,),) * 4, **changed: str) -> TopicState:
    config = GOOD | {key.replace("_", "."): value for key, value in changed.items()}
    return TopicState(name, replicas, config)


TABLE = [
    (ONE, state(), ()),
    (ONE, state(retention_ms="604800000"), ()),
    (ONE, state(retention_ms="604799999"), ("retention.ms=-1",)),
    (Rules("kafka:9092", [1], historical=True), state(retention_ms="604800000"), ("retention.ms=-1",)),
    (ONE, state(retention_bytes="1073741823"), ("retention.bytes=-1",)),
    (ONE, state(cleanup_policy="compact"), ("cleanup.policy=delete",)),
    (ONE, state(CATALOG), ("cleanup.policy=compact",)),
    (ONE, state(USERS, cleanup_policy="compact", retention_ms="1"), ()),
    (ONE, state(CATALOG, cleanup_policy="compact,delete"), ("cleanup.policy=compact",)),
    (ONE, state(max_message_bytes="1000"), ("max.message.bytes=1048588",)),
    (ONE, state(max_message_bytes="104857600"), ("max.message.bytes=1048588",)),
    (
        ONE,
        TopicState(EVENTS, ((1,),), GOOD | {"message.timestamp.type": "LogAppendTime"}),
        ("message.timestamp.type=CreateTime",),
    ),
    (
        ONE,
        TopicState(EVENTS, ((1,),), GOOD | {"unclean.leader.election.enable": "true"}),
        ("unclean.leader.election.enable=false",),
    ),
    (THREE, state(), ("kafka-reassign-partitions.sh",)),
    (THREE, state(replicas=((1, 2, 3),), min_insync_replicas="1"), ("min.insync.replicas=2",)),
    (THREE, state(replicas=((1, 2, 3),), min_insync_replicas="3"), ("min.insync.replicas=2",)),
    (THREE, state(replicas=((1, 2, 3),), min_insync_replicas="2"), ()),
    (Rules("kafka:9092", [1], least_partitions=8), state(), ("--topic snowmelt.events --partitions 8",)),
]


@pytest.mark.parametrize(("rules", "found", "commands"), TABLE)
def test_each_fault_has_the_command_that_mends_it(rules: Rules, found: TopicState, commands: tuple[str, ...]) -> None:
    faults = rules.faults(found)
    assert len(faults) == len(commands)
    for fault, command in zip(faults, commands, strict=True):
        assert command in fault.command
        assert "--bootstrap-server kafka:9092" in fault.command


def test_a_reassignment_keeps_what_is_there_and_spreads_the_rest() -> None:
    plan = json.loads(Rules("k", [1, 2, 3, 4]).reassignment([state(replicas=((1,), (2, 3), (1, 2, 3)))]))
    assert [(each["partition"], each["replicas"]) for each in plan["partitions"]] == [(0, [1, 2, 3]), (1, [2, 3, 4])]


def test_unequal_partitions_are_a_remark() -> None:
    assert unequal({EVENTS: state(), "snowmelt.impressions": state()}) == ""
    assert "4 partitions" in unequal({EVENTS: state(), "snowmelt.impressions": state(replicas=((1,),))})


@pytest.fixture
def fresh(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[KafkaCluster]:
    with start_kafka(kafka_distribution, tmp_path / "kafka") as cluster:
        yield cluster


def snowmelt(bootstrap: str, *words: str) -> tuple[int, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", *words],
        env={**kept, "COLUMNS": "80", "SNOWMELT_KAFKA_BOOTSTRAP": bootstrap},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.kafka
def test_topics_are_made_checked_and_mended(fresh: KafkaCluster) -> None:
    where, admin = fresh.bootstrap, Admin(fresh.bootstrap)
    code, said = snowmelt(where, "topics", "check", "--json")
    assert (code, {each["said"] for each in json.loads(said)["faults"]}) == (1, {"does not exist"})
    code, said = snowmelt(where, "topics", "create", "--partitions", "3", "--dry-run")
    assert (code, said.count("would make")) == (0, 5)
    assert admin.partitions(LAKE_TOPICS) == {}
    assert snowmelt(where, "topics", "create", "--replication", "2")[0] == 1
    assert snowmelt(where, "topics", "create", "--partitions", "3")[0] == 0
    assert admin.partitions(LAKE_TOPICS) == dict.fromkeys(LAKE_TOPICS, 3)
    assert snowmelt(where, "topics", "check")[0] == 0

    admin.set_config(EVENTS, {"retention.ms": "3600000"})
    admin.set_config(CATALOG, {"cleanup.policy": "delete"})
    with pytest.raises(ConfigError, match=r"snowmelt.events: retention.ms is 3600000.*--add-config retention.ms=-1"):
        require(admin, LAKE_TOPICS, Rules(where, admin.nodes()))
    code, said = snowmelt(where, "topics", "create", "--mend", "--json")
    mended = json.loads(said)["mended"]
    assert (code, [each["topic"] for each in mended]) == (0, [EVENTS, CATALOG])
    assert snowmelt(where, "topics", "check")[0] == 0


@pytest.mark.kafka
def test_three_nodes_keep_three_copies(kafka_cluster: KafkaCluster) -> None:
    admin = Admin(kafka_cluster.bootstrap)
    create_missing(admin, LAKE_TOPICS, 2)
    found = admin.describe(LAKE_TOPICS)
    assert {len(replicas) for each in found.values() for replicas in each.replicas} == {3}
    assert {each.config["min.insync.replicas"] for each in found.values()} == {"2"}
    require(admin, LAKE_TOPICS, Rules(kafka_cluster.bootstrap, admin.nodes()))
    assert {spec.replication for spec in house_topics()} == {-1}
