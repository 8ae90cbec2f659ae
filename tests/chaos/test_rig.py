"""What a rig or a Kafka has started ends with it, also where it is broken off before it is whole."""

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from snowmelt.chaos import rig as module
from snowmelt.chaos.rig import Rig
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.jars import Distribution
from snowmelt.runtime.kafka.node import KafkaCluster, KafkaNode


class NoKafka:
    """Stands for a cluster that has started."""

    bootstrap = "127.0.0.1:1"

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()


def redis_servers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "redis-server"]


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> NoKafka:
    made = NoKafka()
    monkeypatch.setattr(module, "install", lambda _: None)
    monkeypatch.setattr(module, "start_kafka", lambda *_, **__: made)
    return made


@pytest.mark.redis
def test_a_rig_that_is_broken_off_while_it_starts_ends_its_parts(
    kafka: NoKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, during = redis_servers(), list[psutil.Process]()

    def interrupted(*_: Any) -> None:
        during.extend(child for child in redis_servers() if child not in before)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "Admin", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Rig(tmp_path, forked=False)
    assert len(during) == 1
    assert not during[0].is_running()
    assert kafka.stopped.is_set()


@pytest.mark.redis
def test_a_rig_that_has_ended_starts_no_lane(kafka: NoKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Topics:
        def __init__(self, *_: object) -> None: ...

        def create_topics(self, _: object) -> None: ...

        def incarnations(self, _: object) -> dict[str, str]:
            return {}

    monkeypatch.setattr(module, "Admin", Topics)
    with Rig(tmp_path, forked=False) as rig:
        redis = psutil.Process(rig.redis._process.pid)
        lane = rig.start("lake")
    with pytest.raises(SnowmeltError, match="features is not started: everything ends"):
        rig.start("features")
    assert lane.poll() is not None
    assert not redis.is_running()
    assert kafka.stopped.is_set()


def test_a_kafka_that_is_broken_off_while_it_is_waited_for_ends_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\nexec sleep 60\n")
    java.chmod(0o700)
    nodes = [KafkaNode(Distribution(str(java), ""), tmp_path / f"node{n}", n, 1, 1) for n in (1, 2)]
    for node in nodes:
        node.folder.mkdir()
        (node.folder / "heap_mb").write_text("1")
    cluster, pids = KafkaCluster(nodes), []

    def interrupted(*_: Any) -> None:
        pids.extend(node.pid for node in nodes)
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cluster.start()
    assert len(pids) == 2
    assert not any(map(psutil.pid_exists, pids))
