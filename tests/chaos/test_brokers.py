"""Kafka nodes go under load and nothing is lost; what the log itself has lost stops its partition by name."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from snowmelt.chaos import brokers
from snowmelt.chaos.check import Report, check
from snowmelt.chaos.rig import Rig, until
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.admin import Admin, house_topics
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.node import start_kafka
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nodes_go_and_come_back_and_every_acknowledged_record_counts_once(
    tmp_path: Path, kafka_distribution: Distribution
) -> None:
    with Rig(tmp_path, partitions=2, cache=CACHE, nodes=3) as rig:
        report = brokers.drill(rig, kills=1, both_s=4)
    assert report.problems == []
    assert (report.nodes_killed, report.lost, report.twice, report.misplaced) == (3, 0, 0, 0)
    assert report.landed > 100


@pytest.mark.long
def test_a_leader_that_is_dead_is_asked_nothing_and_told_by_name(
    tmp_path: Path, kafka_distribution: Distribution
) -> None:
    with start_kafka(kafka_distribution, tmp_path, nodes=3) as cluster:
        admin = Admin(cluster.bootstrap, timeout_s=1.0)
        admin.create_topics(house_topics(8))
        assert len(admin.watermarks([EVENTS])) == 8
        cluster.nodes[0].kill()
        began, said = time.process_time(), []
        deadline = time.monotonic() + 60
        while not said or said[-1] != "":
            assert time.monotonic() < deadline
            try:
                assert all(marks.high == 0 for marks in admin.watermarks([EVENTS]).values())
                said.append("")
            except SnowmeltError as error:
                said.append(error.detail)
        assert any("does not answer" in each for each in said)
        assert time.process_time() - began < 2  # librdkafka itself would take a core for all of these seconds


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=2, cache=CACHE) as made:
        yield made


def says(rig: Rig, text: str) -> None:
    for lane in ("lake", "features"):
        until(lambda lane=lane: text in rig.says(lane), 60, f"{lane} does not say {text}")  # type: ignore[misc]


def start(rig: Rig, **settings: str) -> None:
    for lane in ("lake", "features"):
        rig.start(lane, flush_seconds=0.1, **settings)


def stop(rig: Rig) -> None:
    for lane in ("lake", "features"):
        rig.stop(lane)


def test_a_log_that_was_cut_and_a_topic_made_anew_stop_by_name_and_go_on_where_that_is_accepted(rig: Rig) -> None:
    traffic = Traffic(rig.bootstrap, 3)
    traffic.send(400)
    start(rig)
    until(lambda: rig.drained("lake") and rig.drained("features"), 60, "the lanes did not catch up")
    stop(rig)

    at = rig.positions("lake", [EVENTS])[EVENTS, 0]
    traffic.send(200)
    low = at + 7
    client = AdminClient({"bootstrap.servers": rig.bootstrap})
    for future in client.delete_records([TopicPartition(EVENTS, 0, low)]).values():
        future.result(30)
    start(rig)
    says(rig, f"{EVENTS}/0: records [{at}, {low}) are lost; to go on, accept the gap {EVENTS}/0:{at}-{low}")
    until(lambda: rig.positions("lake", [EVENTS])[EVENTS, 1] == rig.ends("lake")[EVENTS, 1], 30, "others wait")
    assert rig.positions("lake", [EVENTS])[EVENTS, 0] == at
    stop(rig)
    start(rig, accept_gaps=f"{EVENTS}/0:{at}-{low}")
    until(lambda: rig.drained("lake") and rig.drained("features"), 60, "the lanes do not go on")
    traffic.close()
    report = Report({}, 0)
    check(rig, traffic.acknowledged, report)
    assert 0 < report.lost <= 7
    assert (report.twice, report.misplaced) == (0, 0)

    ends = rig.ends("lake")
    for future in client.delete_topics([EVENTS]).values():
        future.result(30)
    until(lambda: EVENTS not in rig.admin.partitions([EVENTS]), 30, "the topic stays")
    rig.admin.create_topics([spec for spec in house_topics(2) if spec.name == EVENTS])
    found = rig.admin.incarnations([EVENTS])[EVENTS]
    again = Traffic(rig.bootstrap, 5)
    again.send(50)
    accept = f"SNOWMELT_INGEST_ACCEPT_TOPICS={EVENTS}:{found}"
    says(rig, "the topic was made anew")
    says(rig, accept)
    stop(rig)
    start(rig)
    says(rig, f"its records from {ends[EVENTS, 0]} on are lost")
    rows = rig.lake.rows("events")
    assert rig.positions("lake", [EVENTS])[EVENTS, 0] == ends[EVENTS, 0]
    stop(rig)
    rig.incarnations[EVENTS] = found
    start(rig, accept_topics=f"{EVENTS}:{found}")
    until(lambda: rig.drained("lake") and rig.drained("features"), 60, "the lanes do not begin with the new topic")
    again.close()
    assert rig.lake.rows("events") == rows + len(again.acknowledged.first)
