"""The suite on a real Kafka, and what only a real one can show."""

import uuid
from pathlib import Path

import pytest

from snowmelt.runtime.kafka.admin import Admin, TopicSpec, house_topics
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.node import KafkaCluster, start_kafka
from snowmelt.runtime.kafka.producer import Producer
from tests.kafka.suite import Backend, BrokerSuite, send

pytestmark = pytest.mark.kafka


def new_topic(bootstrap: str) -> str:
    name = f"suite-{uuid.uuid4().hex[:8]}"
    Admin(bootstrap).create_topics([TopicSpec(name, 4)])
    return name


class TestRealKafka(BrokerSuite):
    @pytest.fixture
    def backend(self, kafka: str) -> Backend:
        return Backend(kafka, new_topic(kafka))


def test_topics_are_made_once_and_compacted_where_they_say_so(kafka: str) -> None:
    admin = Admin(kafka)
    admin.create_topics(house_topics(3))
    admin.create_topics(house_topics(3))
    assert set(admin.partitions([spec.name for spec in house_topics()]).values()) == {3}


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


def test_a_second_start_keeps_what_was_written(tmp_path: Path, kafka_distribution: Distribution) -> None:
    with start_kafka(kafka_distribution, tmp_path / "kafka") as cluster:
        backend = Backend(cluster.bootstrap, new_topic(cluster.bootstrap))
        incarnation = Admin(backend.bootstrap).incarnations([backend.topic])
        send(backend, 40)
    with start_kafka(kafka_distribution, tmp_path / "kafka") as again:
        assert again.bootstrap == backend.bootstrap
        assert sum(backend.ends().values()) == 40
        assert Admin(again.bootstrap).incarnations([backend.topic]) == incarnation
