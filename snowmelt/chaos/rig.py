"""Real parts for drills and benchmarks of ingest: a Kafka node, a redis-server, a lake, and lanes as processes."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from snowmelt.chaos.nursery import Born, Nursery
from snowmelt.chaos.redis_node import RedisNode
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.contracts.topics import LAKE_TOPICS, LANE_TOPICS
from snowmelt.features.defaults import default_views
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.runtime.kafka.admin import TIMEOUT_S, Admin, house_topics
from snowmelt.runtime.kafka.jars import install
from snowmelt.runtime.kafka.node import start_kafka

MODULE = "services.ingest"
LANES = LANE_TOPICS
Say = Callable[[str], None]
"""Takes a line of progress."""
Running = subprocess.Popen[bytes] | Born
ASK_S = 3.0
"""How long a question to three nodes waits before it is put to others."""


class Rig:
    """Everything in one folder, to be used as a context manager; starting Kafka takes some seconds.

    Args:
        folder: for all of it.
        partitions: of each topic.
        cache: where Kafka's jars are.
        nodes: of Kafka.
        forked: lanes come out of a ``Nursery``; else each reads the program anew, as it does at a user's.
        redis_binary: the redis-server; empty: that of the one-command mode.
    """

    def __init__(
        self,
        folder: Path,
        partitions: int = 8,
        cache: Path | None = None,
        nodes: int = 1,
        *,
        forked: bool = True,
        redis_binary: str = "",
    ) -> None:
        self._nursery = Nursery.shared() if forked else None
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        home = cache or Path(os.environ.get("SNOWMELT_CACHE_DIR", ".cache"))
        with ExitStack() as parts:  # what was started ends where the rest fails
            self.cluster = start_kafka(install(home / "kafka"), folder / "kafka", nodes=nodes)
            parts.callback(self.cluster.stop)
            self.bootstrap = self.cluster.bootstrap
            self.redis = RedisNode(folder / "redis", free_port(), redis_binary)
            parts.callback(self.redis.stop)
            self.redis_url = self.redis.url
            self.views = default_views()
            self.views.dump(folder / "views.json")
            self.admin = Admin(self.bootstrap, ASK_S if nodes > 1 else TIMEOUT_S)
            self.admin.create_topics(house_topics(partitions))
            self.incarnations = self.admin.incarnations(LAKE_TOPICS)
            self.lake = Lake(str(folder / "lake"))
            self.lake.create()
            self.store = self._store()
            parts.callback(self.store.close)
            self._parts = parts.pop_all()
        self._starting = threading.Lock()
        self._ended = False
        self._lanes: list[Running] = []
        self._named: dict[str, Running] = {}
        self._ops: dict[str, str] = {}

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        with self._parts:
            with self._starting:
                self._ended = True  # a thread of a drill that was broken off may be about to start another
            for process in self._lanes:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _store(self) -> StateStore:
        def opened() -> StateStore | None:
            store = StateStore(self.redis_url, self.views)
            try:
                store.check()
            except SnowmeltError:
                store.close()
                return None
            return store

        found: list[StateStore] = []

        def ready() -> bool:
            store = opened()
            found.extend([store] if store else [])
            return bool(found)

        until(ready, 20, "Redis did not start")
        return found[0]

    def start(self, lane: str, module: str = MODULE, *, name: str = "", **settings: str | float) -> Running:
        """Starts a lane as a process.

        Args:
            lane: which.
            module: the program.
            name: what a second process of the lane is called, where it has a log and an address of its own; else both
                go by the lane's name.
            settings: SNOWMELT_INGEST_* in lower case.

        Raises:
            SnowmeltError: UNAVAILABLE where everything ends.
        """
        name = name or lane
        environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
        environ |= {
            "SNOWMELT_STATE_DIR": str(self.folder),
            "SNOWMELT_KAFKA_BOOTSTRAP": self.bootstrap,
            "SNOWMELT_REDIS_URL": self.redis_url,
            "SNOWMELT_INGEST_LANE": lane,
            "SNOWMELT_INGEST_ASSIGNMENT": "all",
            "SNOWMELT_INGEST_OPS_ADDRESS": self._ops.setdefault(name, f"127.0.0.1:{free_port()}"),
        }
        environ |= {f"SNOWMELT_INGEST_{key.upper()}": str(value) for key, value in settings.items()}
        with self._starting:
            if self._ended:
                raise SnowmeltError(Reason.UNAVAILABLE, f"{name} is not started: everything ends")
            process = self._run(module, environ, self.folder / f"{name}.log")
            self._lanes.append(process)
            self._named[name] = process
        return process

    def _run(self, module: str, environ: dict[str, str], log: Path) -> Running:
        if self._nursery:
            return self._nursery.start(module, environ, log)
        with log.open("ab") as end:
            return subprocess.Popen([sys.executable, "-P", "-m", module], env=environ, stdout=end, stderr=end)

    def stop(self, name: str, seconds: float = 20) -> None:
        """Tells the process of that name that was started last to stop.

        Raises:
            SnowmeltError: UNAVAILABLE where it ends otherwise than it should.
        """
        process = self._named[name]
        process.terminate()
        code = process.wait(seconds)
        if code != ExitCode.OK:
            detail = f"{name} ended with {code} when told to stop: {self.log(name)}"
            raise SnowmeltError(Reason.UNAVAILABLE, detail)

    def wait_ready(self, name: str, seconds: float = 60) -> None:
        """Waits until the process of that name that was started last says that it reads.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        until(lambda: self.ready(name), seconds, lambda: f"{name} did not start: {self.says(name)}")

    def ready(self, name: str) -> bool:
        """Whether the process of that name says that it reads."""
        try:
            with self._ask(name) as answer:
                return int(answer.status) == 200
        except OSError:
            return False

    def says(self, name: str) -> str:
        """What the process of that name says of its readiness; why it says nothing, where it does not."""
        try:
            try:
                with self._ask(name) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return str(error)

    def _ask(self, name: str) -> http.client.HTTPResponse:
        return urllib.request.urlopen(f"http://{self._ops[name]}/readyz", timeout=5)  # type: ignore[no-any-return]

    def ops(self, name: str) -> str:
        """The address of the ops listener of the last process of that name."""
        return self._ops[name]

    def log(self, name: str) -> str:
        """The end of what was logged under a name."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def ends(self, lane: str) -> dict[tuple[str, int], int]:
        """Where the log of each of a lane's partitions ends."""
        return {place: mark.high for place, mark in self.admin.watermarks(LANES[lane]).items()}

    def positions(self, lane: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """How far the lane's sink is, by topic and partition."""
        count = self.admin.partitions(topics)
        places = [(topic, p) for topic in topics for p in range(count[topic])]
        if lane == "lake":
            found: dict[tuple[str, int], int] = {}
            for topic in topics:
                wanted = [(self.incarnations[topic], topic, p) for p in range(count[topic])]
                done = self.lake.progress(TOPIC_TABLES[topic], wanted)
                found |= {key[1:]: done[key].next_offset if key in done else 0 for key in wanted}
            return found
        fences = {place: self.store.fences(self.incarnations[place[0]], *place) for place in places}
        return {place: max(fence or 0 for fence in known) for place, known in fences.items()}

    def finish(self, modules: Mapping[str, str] | None = None, seconds: float = 600) -> None:
        """Lets both lanes catch up with what was produced, tells them to stop, and sees that they do.

        Args:
            modules: other programs in the place of a lane's.
            seconds: for catching up.

        Raises:
            SnowmeltError: UNAVAILABLE where a lane does not catch up, or ends otherwise than it should.
        """
        for lane in LANES:
            self.start(lane, (modules or {}).get(lane, MODULE))
        for lane in LANES:
            until(lambda lane=lane: self.drained(lane), seconds, f"{lane} did not catch up")  # type: ignore[misc]
            self.stop(lane)

    def drained(self, lane: str) -> bool:
        """Whether the lane's sink holds everything that was produced."""
        return self.positions(lane, LANES[lane]) == self.ends(lane)


def until(done: Callable[[], bool], seconds: float, failure: str | Callable[[], str], *, every_s: float = 0.05) -> None:
    """Waits until ``done`` says so, asked every ``every_s`` seconds.

    Raises:
        SnowmeltError: UNAVAILABLE with ``failure``, or what that says then, after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SnowmeltError(Reason.UNAVAILABLE, failure if isinstance(failure, str) else failure())
        time.sleep(every_s)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
