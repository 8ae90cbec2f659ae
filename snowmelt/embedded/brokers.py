"""The two brokers of the one-command mode: the embedded one needs nothing, a real Kafka is durable."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from snowmelt.embedded.processes import StartError
from snowmelt.runtime.kafka.admin import Admin, house_topics
from snowmelt.runtime.kafka.jars import KafkaUnavailableError, install
from snowmelt.runtime.kafka.node import lay_out_kafka

START_S = 60.0
GoOn = Callable[[], None]


def _go_on() -> None:
    """Nobody asks to stop."""


class Broker(Protocol):
    """A broker that is started by ``spawn``, has all topics of the house after ``wait``, and ends by SIGTERM.

    Attributes:
        log: where its process writes to.
        keeps: whether one that is started again has the records and the address of the one before.
    """

    log: Path
    keeps: bool

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""

    @property
    def incarnation(self) -> str:
        """Stands for the topics' ids; empty where the broker has ids of its own."""

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Starts its process."""

    def wait(self, go_on: GoOn = _go_on) -> None:
        """Waits until it can be used; ``go_on`` is called meanwhile, and may raise.

        Raises:
            StartError: it ended first, or was not ready in time.
        """


PrepareBroker = Callable[[Path], Broker]
"""Makes a broker, not started yet, whose data and logs lie in a folder; raises StartError."""


class EmbeddedBroker:
    """librdkafka's mock cluster in a process of its own; never restarted, since a new one would be another topic."""

    keeps = False

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "broker.log"
        self.bootstrap = self.incarnation = ""
        self._process: subprocess.Popen[bytes] | None = None

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Starts its process; all its records go when that ends."""
        with self.log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "snowmelt.embedded.broker"],
                stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
        return self._process

    def wait(self, go_on: GoOn = _go_on) -> None:
        """Waits until it says where it is.

        Raises:
            StartError: it ended first, or was not ready in time.
        """
        out = self._process.stdout if self._process else None
        deadline = time.monotonic() + START_S
        while out and not select.select([out], [], [], 0.2)[0] and time.monotonic() < deadline:
            go_on()
        line = out.readline() if out and select.select([out], [], [], 0)[0] else b""
        if not line:
            raise StartError(f"the broker did not start (log: {self.log})")
        said = json.loads(line)
        self.bootstrap, self.incarnation = said["bootstrap"], said["incarnation"]


class LocalKafka:
    """One real Kafka node; topics, data and offsets outlive it."""

    keeps = True
    incarnation = ""

    def __init__(self, folder: Path) -> None:
        cache = Path(os.environ.get("SNOWMELT_CACHE_DIR", ".cache"))
        try:
            self._cluster = lay_out_kafka(install(cache / "kafka"), folder)
        except KafkaUnavailableError as error:
            raise StartError(str(error)) from error
        self._node = self._cluster.nodes[0]
        self.log = self._node.log
        self.bootstrap = self._cluster.bootstrap

    def spawn(self) -> "subprocess.Popen[bytes]":
        """Starts the node, with what it had."""
        return self._node.start()

    def wait(self, go_on: GoOn = _go_on) -> None:
        """Waits until it answers, and makes the topics that are not there yet.

        Raises:
            StartError: it ended first, or was not ready in time.
            SnowmeltError: UNAVAILABLE, it does not make the topics.
        """
        try:
            self._cluster.wait(go_on=go_on)
        except KafkaUnavailableError as error:
            raise StartError(str(error)) from error
        Admin(self.bootstrap).create_topics(house_topics())


BROKERS: Mapping[str, PrepareBroker] = {"embedded": EmbeddedBroker, "kafka": LocalKafka}
