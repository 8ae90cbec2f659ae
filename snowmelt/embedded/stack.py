"""The whole system on one machine: what runs, in which order it starts, and what becomes of it when a part dies."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from snowmelt.embedded import redis_server
from snowmelt.embedded.brokers import PrepareBroker
from snowmelt.embedded.ending import LOST, drained_by, end_in_order, undrained
from snowmelt.embedded.home import Home, choose_ports
from snowmelt.embedded.processes import Spec, StartError, Supervisor

SERVICES = ("ingest-lake", "ingest-features", "retrieval", "ranker", "gateway", "trainer")
_NICENESS = {"ingest-lake": 10, "ingest-features": 10, "collector": 10, "trainer": 15}
"""On one machine answers come first: a commit or a training takes all cores for a while."""


_LOOK_S = 0.2


class Stack:
    """Starts and stops everything.

    ``say`` gets a line for each thing an operator should know; ``give_up`` is called, from any thread, where a part has
    died that cannot be started again, and asks for ``stop``. ``go_on`` is called while a start is waited for; it raises
    where the start is to be given up.
    """

    def __init__(
        self,
        home: Home,
        say: Callable[[str], None],
        prepare_broker: PrepareBroker,
        give_up: Callable[[], None],
        *,
        free_ports: bool = False,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        home.make()
        self.home = home
        self.ports = choose_ports(free_ports)
        self.environ: dict[str, str] = {}
        self._tell = say
        self._go_on = go_on
        self._give_up = give_up
        self._supervisor = Supervisor(home.logs, self.say, self._record, go_on)
        self._prepare_broker = prepare_broker
        self._took = False
        self._lost = ""

    def say(self, line: str) -> None:
        """Says a line; a full disk, or whatever else is in the way of it, keeps nothing from going on in order."""
        with suppress(OSError):
            self._tell(line)

    def start_parts(self, clock_offset_ms: int) -> None:
        """Starts Redis and the broker; afterwards ``environ`` holds every setting of a service.

        Raises:
            StartError: one of them did not start.
            SnowmeltError: UNAVAILABLE, the broker does not make its topics.
        """
        port = self.ports["redis"]
        self.environ = self._settings(clock_offset_ms)
        command = redis_server.command(self.home.folder / "redis", port)
        self._supervisor.start(Spec("redis", command, os.environ.copy(), lambda: self._redis_ready(port)))
        self._supervisor.launch(self._collector())
        broker = self._prepare_broker(self.home.folder / "broker")
        lost = None if broker.keeps else self._broker_lost
        self._supervisor.run("broker", broker.log, broker.spawn, lost=lost)
        broker.wait(self._go_on)
        self.environ["SNOWMELT_KAFKA_BOOTSTRAP"] = broker.bootstrap
        self.environ["SNOWMELT_KAFKA_INCARNATION"] = broker.incarnation

    def start_services(self, names: tuple[str, ...] = SERVICES, timeout_s: float = 90.0) -> None:
        """Starts services side by side and waits until each is ready.

        Raises:
            StartError: one ended or was not ready in time.
        """
        self._took = True
        for name in names:
            self._supervisor.launch(self._service(name))
        for name in names:
            self._supervisor.wait_ready(name, timeout_s)

    def keep(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Notes a process that works beside the services and ends by itself: it ends with the others at the latest."""
        self._supervisor.keep(name, process)

    def stop(self) -> bool:
        """Stops the doors, waits until both lanes have taken what was produced, then stops the lanes and the parts.

        Returns whether they had: what was left undone is said, and noted in the state folder.
        """
        drained = drained_by(self.environ) if self._took and not self._lost else None
        whole = end_in_order(self._supervisor.names(), self._supervisor.stop, drained, self.say)
        self._supervisor.close()
        if not whole and not self._lost:
            self._lost = undrained(self.environ)
            self.say(self._lost)
        self.home.forget(self._lost)
        return not self._lost

    def _redis_ready(self, port: int) -> bool:
        pid = self._supervisor.pids().get("redis")
        return pid is not None and _redis_answers(port, pid)

    def _record(self) -> None:
        """Notes in the state folder what runs and where."""
        self.home.record(self.environ, self._supervisor.pids())

    def _broker_lost(self) -> None:
        """A new one would be another at another address, which running services do not know: all start anew with it."""
        self._lost = LOST if self._took else "the embedded broker has died before anything was sent to it"
        self.say(f"{self._lost}; everything stops, and the next start goes on from what the lake and Redis hold")
        self._give_up()

    def _settings(self, clock_offset_ms: int) -> dict[str, str]:
        def at(name: str) -> str:
            return f"127.0.0.1:{self.ports[name]}"

        folder = self.home.folder
        return {
            "SNOWMELT_EMBEDDED": "true",
            "SNOWMELT_STATE_DIR": str(folder),
            "SNOWMELT_LAKE_URL": str(folder / "lake"),
            "SNOWMELT_RELEASES_URL": str(folder / "releases"),
            "SNOWMELT_VIEWS_PATH": str(folder / "views.json"),
            "SNOWMELT_TOKENS_PATH": str(folder / "tokens.json"),
            "SNOWMELT_REDIS_URL": f"redis://{at('redis')}/0",
            "SNOWMELT_CLOCK_OFFSET_MS": str(clock_offset_ms),
            "SNOWMELT_GATEWAY_GRPC_ADDRESS": at("gateway_grpc"),
            "SNOWMELT_GATEWAY_REST_ADDRESS": at("gateway_rest"),
            "SNOWMELT_GATEWAY_ADMIN_ADDRESS": at("gateway_admin"),
            "SNOWMELT_GATEWAY_ADMIN_GRPC_ADDRESS": at("gateway_admin_grpc"),
            "SNOWMELT_GATEWAY_OPS_ADDRESS": at("gateway_ops"),
            "SNOWMELT_GATEWAY_RETRIEVAL_TARGET": at("retrieval"),
            "SNOWMELT_GATEWAY_RANKER_TARGET": at("ranker"),
            "SNOWMELT_RETRIEVAL_ADDRESS": at("retrieval"),
            "SNOWMELT_RETRIEVAL_OPS_ADDRESS": at("retrieval_ops"),
            "SNOWMELT_RANKER_ADDRESS": at("ranker"),
            "SNOWMELT_RANKER_OPS_ADDRESS": at("ranker_ops"),
            "SNOWMELT_TRAINER_OPS_ADDRESS": at("trainer_ops"),
            "SNOWMELT_LANES_OPS": f"lake={at('ingest_lake_ops')},features={at('ingest_features_ops')}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{at('collector')}"),
        }

    def _collector(self) -> Spec:
        where = ("--port", str(self.ports["collector"]), "--spans", str(self.home.spans))
        argv = [sys.executable, "-P", "-m", "snowmelt.embedded.collector", *where]
        return Spec("collector", argv, os.environ, niceness=_NICENESS["collector"])

    def _service(self, name: str) -> Spec:
        module, _, lane = name.partition("-")
        environ = {**os.environ, **self.environ}
        ops = self.ports[f"{name.replace('-', '_')}_ops"]
        if lane:
            environ["SNOWMELT_INGEST_LANE"] = lane
            environ["SNOWMELT_INGEST_OPS_ADDRESS"] = f"127.0.0.1:{ops}"
        argv = [sys.executable, "-P", "-m", f"services.{module}"]
        return Spec(name, argv, environ, lambda: _alive(ops), _NICENESS.get(name, 0))


def _alive(ops_port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", ops_port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _redis_answers(port: int, pid: int) -> bool:
    """Whether it is the server of this number: while ours is about to end as the port is taken, another answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as link, link.makefile("rb") as said:
            link.sendall(b"PING\r\nINFO server\r\n")
            return said.readline() == b"+PONG\r\n" and b"process_id:%d\r\n" % pid in said
    except OSError:
        return False


def apply_features(environ: dict[str, str], repo: Path, go_on: Callable[[], None] = lambda: None) -> None:
    """Runs ``feast apply`` on the feature repository, in a process of its own: importing Feast takes seconds.

    ``go_on`` is called meanwhile; where it raises, Feast is ended.

    Raises:
        StartError: Feast refused the definitions; the message is its own last line.
    """
    argv = [sys.executable, str(Path(sys.executable).parent / "feast"), "apply"]
    with subprocess.Popen(
        argv, cwd=repo, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,
    ) as feast:  # fmt: skip
        try:
            said = _said_by(feast, go_on)
        except BaseException:
            feast.kill()
            raise
    if feast.returncode:
        raise StartError(f"feast apply failed: {' '.join(said.strip().splitlines()[-1:])}")


def _said_by(process: "subprocess.Popen[str]", go_on: Callable[[], None]) -> str:
    while True:
        try:
            out, errors = process.communicate(timeout=_LOOK_S)
        except subprocess.TimeoutExpired:
            go_on()
        else:
            return errors or out
