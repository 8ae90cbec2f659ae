"""A real Kafka on this machine: format, start, wait by an admin call, stop by pid; one node or three."""

import base64
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from snowmelt.runtime.kafka.jars import Distribution, KafkaUnavailableError

START_SECONDS = 60.0
QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Java's flags for what is small and must start soon."""

_LOGGING = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
"""


class KafkaNode:
    """One broker process in its own folder; a restart keeps ports, topics, data and committed offsets."""

    def __init__(self, distribution: Distribution, folder: Path, node_id: int, port: int, controller_port: int) -> None:
        self.folder = folder.resolve()
        self.node_id = node_id
        self.port = port
        self.controller_port = controller_port
        self._distribution = distribution
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where its process writes to."""
        return self.folder / "node.log"

    @property
    def pid(self) -> int:
        """The broker's process id.

        Raises:
            KafkaUnavailableError: it is not running.
        """
        if self._process is None:
            raise KafkaUnavailableError(f"Kafka node {self.node_id} was not started")
        return self._process.pid

    def format(self, cluster_id: str, peers: Sequence["KafkaNode"], heap_mb: int) -> None:
        """Writes the settings, and formats the folder where that was not done before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        (self.folder / "heap_mb").write_text(str(heap_mb))
        settings = self.folder / "server.properties"
        settings.write_text(_properties(self, peers))
        if (self.folder / "data" / "meta.properties").exists():
            return
        standalone = [] if len(peers) > 1 else ["--standalone"]
        tool = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings), *standalone)
        command = self._distribution.command(*tool)
        command[1:1] = QUICK
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise KafkaUnavailableError(f"formatting failed: {(run.stdout + run.stderr).strip()[-800:]}")

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts the process without waiting for it; its own session, so that a terminal's Ctrl-C does not reach it."""
        heap = (self.folder / "heap_mb").read_text()
        flags = (f"-Xmx{heap}m", *QUICK)
        logging = f"-Dlog4j2.configurationFile=file:{self.folder}/log4j2.properties"
        command = self._distribution.command("kafka.Kafka", str(self.folder / "server.properties"))
        command[1:1] = [*flags, logging]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        return self._process

    def check(self) -> None:
        """Raises KafkaUnavailableError with the end of the log where the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-800:]
            raise KafkaUnavailableError(f"Kafka node {self.node_id} ended with {self._process.returncode}: {tail}")

    def stop(self, seconds: float = 10.0) -> None:
        """Ends the broker in order; kills it where that takes longer than ``seconds``."""
        self.send(signal.SIGTERM)
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """Ends the broker at once, as a crash would."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process where it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


class KafkaCluster:
    """Some nodes of one cluster, to be used as a context manager."""

    def __init__(self, nodes: Sequence[KafkaNode]) -> None:
        self.nodes = tuple(nodes)

    @property
    def bootstrap(self) -> str:
        """The addresses for clients."""
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> "KafkaCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, seconds: float = START_SECONDS) -> None:
        """Starts every node and waits until all have joined; ends them all where it is not to be waited any more.

        Raises:
            KafkaUnavailableError: a process ended, or the time has passed.
        """
        try:
            for node in self.nodes:
                node.start()
            self.wait(seconds)
        except BaseException:  # also a Ctrl-C, which does not reach the nodes themselves
            self.stop()
            raise

    def wait(self, seconds: float = START_SECONDS, go_on: Callable[[], None] = lambda: None) -> None:
        """Waits until an admin call sees every node; ``go_on`` is called meanwhile, and may raise.

        Raises:
            KafkaUnavailableError: a process ended, or the time has passed.
        """
        deadline = time.monotonic() + seconds
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while time.monotonic() < deadline:
            go_on()
            for node in self.nodes:
                node.check()
            try:
                if len(admin.list_topics(timeout=1.0).brokers) >= len(self.nodes):
                    return
            except KafkaException:
                time.sleep(0.1)
        raise KafkaUnavailableError(f"Kafka at {self.bootstrap} did not come up within {seconds:.0f} s")

    def stop(self) -> None:
        """Ends every node in order; the last ones lack the majority that they would say goodbye to, and are killed."""
        for node in self.nodes:
            node.send(signal.SIGTERM)
        for i, node in enumerate(self.nodes):
            node.stop(10.0 if i == 0 else 2.0)


def start_kafka(
    distribution: Distribution, folder: Path, *, nodes: int = 1, port: int = 0, heap_mb: int = 384
) -> KafkaCluster:
    """``lay_out_kafka``, started and waited for.

    Raises:
        KafkaUnavailableError: a node could not be formatted or started.
    """
    cluster = lay_out_kafka(distribution, folder, nodes=nodes, port=port, heap_mb=heap_mb)
    cluster.start()
    return cluster


def lay_out_kafka(
    distribution: Distribution, folder: Path, *, nodes: int = 1, port: int = 0, heap_mb: int = 384
) -> KafkaCluster:
    """A cluster of ``nodes`` in ``folder``, ready to be started; what the folder already holds is kept.

    Args:
        distribution: from ``jars.install``.
        folder: one sub-folder a node; data and logs.
        nodes: 1, or 3 with replication 3 and two in-sync replicas.
        port: of the first node; 0: a free one, or the one it had before.
        heap_mb: Java's heap of each node; a broker needs more than 192.

    Raises:
        KafkaUnavailableError: a node could not be formatted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = _ports(folder / "ports", nodes, port)
    members = [
        KafkaNode(distribution, folder / f"node{i + 1}", i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(nodes)
    ]
    cluster_id = _cluster_id(folder / "cluster_id")
    for member in members:
        member.format(cluster_id, members, heap_mb)
    return KafkaCluster(members)


def _ports(record: Path, nodes: int, port: int) -> list[int]:
    ports = [int(word) for word in record.read_text().split()] if record.exists() else _free_ports(2 * nodes)
    if port:
        ports[0] = port
    record.write_text(" ".join(map(str, ports)))
    return ports


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _cluster_id(record: Path) -> str:
    """The cluster's id, 16 random bytes as Kafka prints its UUIDs; none with a "-" in front, which would be a flag."""
    if not record.exists():
        record.write_text("A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22])
    return record.read_text()


def _properties(node: KafkaNode, peers: Sequence[KafkaNode]) -> str:
    replicas = len(peers)
    in_sync = min(2, replicas)
    quorum = (
        f"controller.quorum.bootstrap.servers=127.0.0.1:{node.controller_port}"
        if replicas == 1
        else "controller.quorum.voters=" + ",".join(f"{p.node_id}@127.0.0.1:{p.controller_port}" for p in peers)
    )
    internal = "".join(
        f"{topic}.num.partitions=4\n{topic}.replication.factor={replicas}\n"
        + ("" if topic == "offsets.topic" else f"{topic}.min.isr={in_sync}\n")
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    )
    return f"""process.roles=broker,controller
node.id={node.node_id}
{quorum}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{node.port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={node.folder}/data
num.partitions=8
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
{internal}group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
initial.broker.registration.timeout.ms=240000
log.cleaner.backoff.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""
