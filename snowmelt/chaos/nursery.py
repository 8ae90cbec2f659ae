"""Lanes as forks of a process that has read the program: a start takes milliseconds, where imports take seconds.

Each is a process of its own that goes the whole way of a start; what it is spared is Python's reading of modules.
Drills that start hundreds of them spend their time on what they are there for.
"""

import json
import os
import queue
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, cast

PRELOAD = "services.ingest.server"
BORN_S = 60.0


class Born:
    """A process of a nursery, with what ``subprocess.Popen`` offers of a process without pipes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._over = threading.Event()

    def end(self, code: int) -> None:
        """Notes how it ended; for the nursery alone."""
        self.returncode = code
        self._over.set()

    def poll(self) -> int | None:
        """The exit code, None while it runs; negative the signal that ended it."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code.

        Raises:
            subprocess.TimeoutExpired: where it runs on.
        """
        if not self._over.wait(timeout) or self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal to one that runs."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and that is not told yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that has read the program, and forks. It ends with ``close``, or with who started it."""

    def __init__(self, preload: str = PRELOAD) -> None:
        command = [sys.executable, "-P", "-m", __name__, preload]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._orders, self._said = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        self._born: queue.Queue[Born | None] = queue.Queue()
        self._running: dict[int, Born] = {}
        self._starting = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    @staticmethod
    def shared() -> "Nursery":
        """The one of this process, with which it ends; another one where that has ended."""
        with _ONE:
            if not _SHARED or _SHARED[0].ended:
                _SHARED[:] = [Nursery()]
            return _SHARED[0]

    @property
    def ended(self) -> bool:
        """Whether it forks no more."""
        return self._process.poll() is not None

    def start(self, module: str, environ: Mapping[str, str], log: Path) -> Born:
        """Runs a module as ``python -P -m`` does, its output at the end of ``log``.

        Raises:
            RuntimeError: the nursery has ended, or did not answer.
        """
        with self._starting:
            try:
                self._orders.write(json.dumps([module, dict(environ), str(log.absolute())]) + "\n")
                self._orders.flush()
                born = self._born.get(timeout=BORN_S)
            except (OSError, ValueError, queue.Empty):
                born = None
            if born is None:
                self._process.kill()  # what it still started would be taken for the next one
                raise RuntimeError("the process that lanes are forked from has ended: its output says why")
            return born

    def close(self) -> None:
        """Ends it; what it started goes on, and how that ends is not known any more."""
        with suppress(OSError):
            self._orders.close()
        self._process.wait()

    def _listen(self) -> None:
        for line in self._said:
            pid, *code = map(int, line.split())
            if code:
                self._running.pop(pid).end(code[0])
            else:
                self._running[pid] = Born(pid)
                self._born.put(self._running[pid])
        self._born.put(None)
        for born in self._running.values():  # nobody can say how they end: who waits for them need not
            born.kill()
            born.end(-signal.SIGKILL)


_ONE = threading.Lock()
_SHARED: list[Nursery] = []


def _serve(preload: str) -> None:
    """Reads what to start from stdin; says ``pid`` for each, and ``pid code`` when it has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for who started it
    import_module(preload)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _say_ended()
        if 0 in ready:
            line = _line()
            if not line:
                return
            module, environ, log = json.loads(line)
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.close(woken)
                os.close(wake)
                _become(module, environ, log)
                return
            _say(str(pid))


def _line() -> bytes:
    """The next order, read without a buffer: a fork must not hold a part of the one after it."""
    read = bytearray()
    while not read.endswith(b"\n"):
        if not (more := os.read(0, 1)):
            return b""
        read += more
    return bytes(read)


def _say_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say(f"{pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _become(module: str, environ: dict[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environ)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
