"""Processes under one supervisor: started, started again with backoff where they die, and stopped in time."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
NICEST = 19
STEADY_S = 30.0
"""A process that lived so long has its backoff forgotten."""


@dataclass(frozen=True)
class Spec:
    """What to run, and how to see that it is ready.

    Attributes:
        ready: is asked again and again and may raise nothing.
        niceness: how far it gives way to others where the machine is busy, beyond what the supervisor does.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    ready: Callable[[], bool] = lambda: True
    niceness: int = 0


class StartError(Exception):
    """A process ended, or did not become ready in time; the message names its log."""


Spawn = Callable[[], subprocess.Popen[bytes]]


@dataclass
class _Child:
    name: str
    log: Path
    spawn: Spawn
    process: subprocess.Popen[bytes]
    ready: Callable[[], bool]
    lost: Callable[[], None] | None
    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    restart_at: float = 0.0
    stopping: bool = field(default=False)


class Supervisor:
    """Runs processes until told to stop.

    ``say`` gets one line for each thing that an operator should know. ``changed`` is called, never twice at once, after
    each start of a process: what ``pids`` says is then another. ``go_on`` is called again and again while a process is
    waited for; it raises where there is no use in that any more.
    """

    def __init__(
        self,
        logs: Path,
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
        go_on: Callable[[], None] = lambda: None,
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._logs = logs
        self._say = say
        self._changed = changed
        self._go_on = go_on
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def start(self, spec: Spec, timeout_s: float = 60.0) -> None:
        """Starts a process and waits until it is ready.

        Raises:
            StartError: it ended first, or was not ready in time.
        """
        self.launch(spec)
        self.wait_ready(spec.name, timeout_s)

    def launch(self, spec: Spec) -> None:
        """Starts a process without waiting for it."""
        log = self._logs / f"{spec.name}.log"
        self.run(spec.name, log, lambda: self._spawn(spec, log), spec.ready)

    def run(
        self,
        name: str,
        log: Path,
        spawn: Spawn,
        ready: Callable[[], bool] = lambda: True,
        *,
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Starts a process by ``spawn``, and again so where it dies.

        With ``lost`` it is never started again: that is called instead, by the watching thread, which it may not keep.
        """
        with self._lock:
            self._children[name] = _Child(name, log, spawn, spawn(), ready, lost)
            self._changed()

    def keep(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Counts a process that ends by itself among the others; whoever started it looks after it."""
        with self._lock:
            self._children[name] = _Child(name, self._logs, lambda: process, process, lambda: True, None, stopping=True)
            self._changed()

    def wait_ready(self, name: str, timeout_s: float = 60.0) -> None:
        """Waits until a launched process is ready.

        Raises:
            StartError: it ended first, or was not ready in time.
        """
        child = self._children[name]
        deadline = time.monotonic() + timeout_s
        # Looked at before it is asked: where it has ended, who answers at its address is another.
        while (code := child.process.poll()) is not None or not child.ready():
            self._go_on()
            if code:
                raise StartError(f"{name} ended with exit code {code}: {_last_line(child.log)} (log: {child.log})")
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not ready after {timeout_s:.0f} s (log: {child.log})")
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        """The process id of everything that runs."""
        with self._lock:
            return {n: c.process.pid for n, c in self._children.items() if c.process.poll() is None}

    def names(self) -> list[str]:
        """Everything that was started, in that order, whether it still runs or not."""
        with self._lock:
            return list(self._children)

    def stop(self, names: Sequence[str], timeout_s: float) -> list[str]:
        """Asks processes to end, all at once, and kills those that have not after ``timeout_s``; returns the killed."""
        with self._lock:
            children = [self._children[n] for n in names if n in self._children]
            for child in children:
                child.stopping = True
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        killed = []
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
                killed.append(child.name)
        return killed

    def close(self, timeout_s: float = 3.0) -> None:
        """Ends the watching, and whatever still runs."""
        self._done.set()
        self._watcher.join()
        self.stop(self.names(), timeout_s)

    def _spawn(self, spec: Spec, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            os.chmod(log, 0o600)  # noqa: PTH101 - an open file's mode, before anything is written
            # A process group of its own: Ctrl-C reaches the supervisor alone, which then stops the rest in order. Not
            # a session of its own: Linux shares a core out by sessions first, and niceness would count for nothing.
            process = subprocess.Popen(
                list(spec.argv), env=dict(spec.environ), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                process_group=0,
            )  # fmt: skip
        if spec.niceness:
            own = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PGRP, process.pid, min(own + spec.niceness, NICEST))
        return process

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            with self._lock:
                for child in self._children.values():
                    with suppress(OSError):  # what it says and notes may fail on a full disk: others are to be watched
                        self._mend(child, time.monotonic())

    def _mend(self, child: _Child, now: float) -> None:
        code = child.process.poll()
        if code is None or child.stopping:
            return
        said = f"{child.name} ended " + (f"by signal {-code}" if code < 0 else f"with exit code {code}")
        if child.lost is not None:
            child.stopping = True
            self._say(f"{said} (log: {child.log})")
            child.lost()
        elif not child.restart_at:
            if now - child.started > STEADY_S:
                child.failures = 0
            wait = BACKOFF_S[min(child.failures, len(BACKOFF_S) - 1)]
            child.failures += 1
            child.restart_at = now + wait
            self._say(f"{said}; it starts again in {wait:g} s (log: {child.log})")
        elif now >= child.restart_at:
            self._start_again(child, now)

    def _start_again(self, child: _Child, now: float) -> None:
        try:
            child.process = child.spawn()
        except OSError as error:  # no memory or no file for it: others are still to be watched
            child.restart_at = now + BACKOFF_S[-1]
            self._say(f"{child.name} cannot be started: {error}; it is tried again in {BACKOFF_S[-1]:g} s")
            return
        child.started, child.restart_at = now, 0.0
        self._changed()


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
