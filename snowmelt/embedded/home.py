"""The state folder of the one-command mode: what runs, with which addresses, and the clock of its data."""

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

PORTS = {
    "gateway_grpc": 7050,
    "gateway_rest": 7080,
    "gateway_admin": 7081,
    "gateway_admin_grpc": 7051,
    "gateway_ops": 7082,
    "retrieval": 7060,
    "retrieval_ops": 7062,
    "ranker": 7070,
    "ranker_ops": 7072,
    "ingest_lake_ops": 7091,
    "ingest_features_ops": 7092,
    "trainer_ops": 7093,
    "redis": 16379,
    "collector": 14317,
}


class PortTaken(Exception):  # noqa: N818 - says what is, in the operator's words
    """A port that is needed belongs to another process; exit code 69."""


@dataclass
class Run:
    """What one ``snowmelt up`` has started; kept in run.json, so that other commands find it. No secrets.

    Attributes:
        children: by name the process id, and ``begun`` when it began, by which another of that number is told from it.
        left: what it left undone, in words, where it has ended by itself but not well; nothing of it runs then.
    """

    pid: int
    started: float
    environ: dict[str, str] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    left: str = ""

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return not self.left and same_process(self.pid, self.started)


class Home:
    """The folder, 0700; every path of the embedded mode is made here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.logs = self.folder / "logs"
        self.spans = self.folder / "traces.sqlite"
        self._lock = self.folder / "lock"
        self._held: int | None = None
        self._run = self.folder / "run.json"
        self._clock = self.folder / "clock.json"
        self._loaded = self.folder / "data_set.json"

    def make(self) -> None:
        """Creates the folder, readable by its owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def hold(self) -> bool:
        """Takes the folder, which is made where it is not there, for this process alone; whether no other has it.

        The system gives it back when the process ends, however that comes.
        """
        self.make()
        if self._held is None:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)  # what is started does not inherit it
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._held = descriptor
        return True

    def run(self) -> Run | None:
        """What runs, or ran last; None where nothing ever did."""
        found = _read(self._run)
        return Run(**found) if found else None

    def record(self, environ: Mapping[str, str], children: Mapping[str, int]) -> None:
        """Notes what this process has started."""
        me = psutil.Process()
        begun = {name: at for name, pid in children.items() if (at := _began(pid)) is not None}
        _write(self._run, asdict(Run(me.pid, me.create_time(), dict(environ), dict(children), begun)))

    def forget(self, left: str = "", *, pid: int = 0) -> None:
        """Nothing runs any more of a process, of this one where ``pid`` names no other; another's note is kept.

        ``left`` is what was left undone, for who asked from elsewhere to stop.
        """
        run = self.run()
        if run is not None and run.pid != (pid or os.getpid()):
            return
        if left:
            me = psutil.Process()
            _write(self._run, asdict(Run(me.pid, me.create_time(), left=left)))
        else:
            self._run.unlink(missing_ok=True)

    def clock_offset_ms(self) -> int | None:
        """The offset that the loaded data set asked for; None before anything was loaded."""
        found = _read(self._clock)
        return int(found["offset_ms"]) if found else None

    def set_clock_offset_ms(self, offset_ms: int) -> None:
        """Keeps the offset: every process reads the same clock from now on."""
        _write(self._clock, {"offset_ms": offset_ms})

    def data_set(self) -> dict[str, object]:
        """What was loaded: name, source, counts, and whether loading was finished; empty before."""
        return _read(self._loaded)

    def set_data_set(self, said: Mapping[str, object]) -> None:
        """Notes what is loaded."""
        _write(self._loaded, dict(said))


def choose_ports(free: bool) -> dict[str, int]:
    """The fixed ports after a look that nobody else has them, or any free ones.

    Raises:
        PortTaken: naming the port and what it is for.
    """
    chosen: dict[str, int] = {}
    held: list[socket.socket] = []
    try:
        for name, port in PORTS.items():
            sock = socket.socket()
            held.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", 0 if free else port))
            except OSError:
                raise PortTaken(f"port {port} ({name.replace('_', ' ')}) is taken by another process") from None
            chosen[name] = sock.getsockname()[1]
    finally:
        for sock in held:
            sock.close()
    return chosen


def same_process(pid: int, started: float) -> bool:
    """Whether the process of this number runs, and is the one that began then."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _began(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return dict(found)


def _write(path: Path, value: Mapping[str, object]) -> None:
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(value, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)
