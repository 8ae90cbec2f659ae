"""``snowmelt up --broker kafka``: a real node, started again where it dies, with its records at every start."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snowmelt.contracts.topics import EVENTS, LAKE_TOPICS
from snowmelt.embedded.brokers import LocalKafka
from snowmelt.embedded.processes import Supervisor
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.producer import Producer
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def until(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def records(broker: LocalKafka) -> int:
    return sum(mark.high - mark.low for mark in Admin(broker.bootstrap, 30.0).watermarks([EVENTS]).values())


def send(broker: LocalKafka, count: int) -> None:
    producer = Producer(broker.bootstrap)
    for n in range(count):
        producer.post(EVENTS, b"default/u%d" % n, b"x", 1)
    producer.close()


def test_topics_and_records_outlive_a_kill_and_a_stop(
    tmp_path: Path, kafka_distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWMELT_CACHE_DIR", str(CACHE))
    said: list[str] = []
    told: list[dict[str, int]] = []
    supervisor = Supervisor(tmp_path / "logs", said.append, lambda: told.append(supervisor.pids()))
    again = Supervisor(tmp_path / "logs", said.append)
    try:
        broker = LocalKafka(tmp_path / "broker")
        supervisor.run("broker", broker.log, broker.spawn)
        broker.wait()
        incarnations = Admin(broker.bootstrap).incarnations(LAKE_TOPICS)
        send(broker, 100)
        os.kill(supervisor.pids()["broker"], signal.SIGKILL)
        until(lambda: len(told) == 2, "it is not started again")
        assert told[0] != told[1]
        assert said == [f"broker ended by signal 9; it starts again in 0.2 s (log: {broker.log})"]
        broker.wait()
        assert records(broker) == 100
        send(broker, 10)
        assert supervisor.stop(["broker"], 10.0) == []
        assert supervisor.pids() == {}

        second = LocalKafka(tmp_path / "broker")
        again.run("broker", second.log, second.spawn)
        second.wait()
        assert second.bootstrap == broker.bootstrap
        assert Admin(second.bootstrap).incarnations(LAKE_TOPICS) == incarnations
        assert records(second) == 110
    finally:
        supervisor.close()
        again.close()
