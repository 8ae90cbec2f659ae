"""The two brokers of the one-command mode: the embedded one needs nothing, a real Kafka is durable."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from snowmelt.embedded.processes import StartError
from snowmelt.runtime.kafka.admin import Admin, house_topics
from snowmelt.runtime.kafka.jars import KafkaUnavailableError, install
from snowmelt.runtime.kafka.node import start_kafka


class Broker(Protocol):
    """A broker that runs, with all topics of the house."""

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""

    @property
    def incarnation(self) -> str:
        """Stands for the topics' ids; empty where the broker has ids of its own."""

    @property
    def pids(self) -> Mapping[str, int]:
        """Its processes, by name."""

    def stop(self) -> None:
        """Ends it."""


StartBroker = Callable[[Path], Broker]
"""Starts a broker whose data and logs lie in a folder; raises StartError."""


class EmbeddedBroker:
    """librdkafka's mock cluster in a process of its own; never restarted, since a new one would be another topic."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "broker.log"
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "snowmelt.embedded.broker"],
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, process_group=0,
            )  # fmt: skip
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise StartError(f"the broker did not start (log: {log})")
        said = json.loads(line)
        self.bootstrap: str = said["bootstrap"]
        self.incarnation: str = said["incarnation"]
        self.pids: Mapping[str, int] = {"broker": self._process.pid}

    def stop(self) -> None:
        """Ends it; its records go with it."""
        self._process.terminate()
        self._process.wait()


class LocalKafka:
    """One real Kafka node; topics, data and offsets outlive it."""

    incarnation = ""

    def __init__(self, folder: Path) -> None:
        cache = Path(os.environ.get("SNOWMELT_CACHE_DIR", ".cache"))
        try:
            self._cluster = start_kafka(install(cache / "kafka"), folder)
        except KafkaUnavailableError as error:
            raise StartError(str(error)) from error
        self.bootstrap = self._cluster.bootstrap
        self.pids: Mapping[str, int] = {f"kafka-{node.node_id}": node.pid for node in self._cluster.nodes}
        Admin(self.bootstrap).create_topics(house_topics())

    def stop(self) -> None:
        """Ends it in order."""
        self._cluster.stop()


BROKERS: Mapping[str, StartBroker] = {"embedded": EmbeddedBroker, "kafka": LocalKafka}
