"""The suite on a real Kafka, and what only a real one can show."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snowmelt.contracts import topics
from snowmelt.runtime.kafka.admin import Admin, TopicSpec, house_topics
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.node import KafkaCluster, start_kafka
from snowmelt.runtime.kafka.producer import Producer
from tests.kafka.suite import Backend, BrokerSuite, Start

pytestmark = pytest.mark.kafka


def new_topic(bootstrap: str, **settings: Any) -> str:
    name = f"suite-{uuid.uuid4().hex[:8]}"
    Admin(bootstrap).create_topics([TopicSpec(name, 4, **settings)])
    return name


class TestRealKafka(BrokerSuite):
    @pytest.fixture
    def backend(self, kafka: str) -> Backend:
        return Backend(kafka, new_topic(kafka))

    @pytest.fixture
    def compacted(self, kafka: str) -> Backend:
        at_once = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
        return Backend(kafka, new_topic(kafka, compacted=True, config=at_once))

    @pytest.fixture
    def start(self, tmp_path: Path, kafka_distribution: Distribution) -> Start:
        @contextmanager
        def running() -> Iterator[Backend]:
            with start_kafka(kafka_distribution, tmp_path / "kafka") as cluster:
                Admin(cluster.bootstrap).create_topics([TopicSpec("kept", 4)])
                yield Backend(cluster.bootstrap, "kept")

        return running


def test_topics_are_made_once_and_compacted_where_they_say_so(kafka: str) -> None:
    admin = Admin(kafka)
    admin.create_topics(house_topics(3))
    admin.create_topics(house_topics(3))
    names = [spec.name for spec in house_topics()]
    assert set(admin.partitions(names).values()) == {3}
    policies = {name: state.config["cleanup.policy"] for name, state in admin.describe(names).items()}
    assert policies == {name: "compact" if name in (topics.CATALOG, topics.USERS) else "delete" for name in names}


def test_acknowledged_records_outlive_a_killed_node(kafka_cluster: KafkaCluster) -> None:
    backend = Backend(kafka_cluster.bootstrap, new_topic(kafka_cluster.bootstrap))
    producer = Producer(backend.bootstrap)
    futures = []
    for i in range(6000):
        futures.append(producer.submit(backend.topic, b"k%d" % i, b"v%d" % i, 1_700_000_000_000))
        if i == 2000:
            kafka_cluster.nodes[1].kill()
        if i == 4000:
            kafka_cluster.nodes[1].start()
    producer.close(60)
    acknowledged = {(future.result().partition, future.result().offset) for future in futures}
    kafka_cluster.wait()
    assert len(acknowledged) == 6000
    assert sum(backend.ends().values()) == 6000
