"""Processes of one lane, each brought to a point where it kills itself, or killed at a random time."""

import random
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace

from snowmelt.chaos.plan import POINTS, Hit, Way
from snowmelt.chaos.rig import Rig, Running, until
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.contracts.topics import LANE_TOPICS

START_S, REACH_S, END_S = 60.0, 15.0, 20.0
"""How long a process may take to its start, from there to its point, and to its end."""
RANDOM_S = 3.0
PASSINGS = 3
"""A point on the way of the records is hit at one of its first passings."""
SESSION_S = 6
FLUSH_S = 0.1
ATTEMPTS = 8

_Settings = dict[str, str | float]


class Victims:
    """Kills the processes of one lane, one after the other.

    Args:
        rig: the parts.
        lane: whose.
        module: the program.
        chance: for passings, times and sizes.
        rows: how many records come between two kills.
        windows: how many partitions the lane reads.
    """

    def __init__(self, rig: Rig, lane: str, module: str, *, chance: random.Random, rows: int, windows: int) -> None:
        self._rig = rig
        self._lane = lane
        self._module = module
        self._chance = chance
        self._rows = rows
        self._windows = windows

    def kill(self, hit: Hit) -> Way | None:
        """Kills a process at a point; says in which way it came there, None where none did after some attempts.

        Where the way that was planned does not lead there (all buckets were written, so that no heartbeat follows), the
        point's other ways are tried.

        A process that does not reach its point in time is told to stop, since many points are passed then too.

        Raises:
            SnowmeltError: UNAVAILABLE where a process ends otherwise than by a kill or when told.
        """
        if hit.way is Way.TIME:
            return self._kill_at_random()
        others = [way for way in POINTS[self._lane][hit.point] if way is not hit.way] or [hit.way]
        for number in range(ATTEMPTS):
            way = hit.way if number < ATTEMPTS / 2 else others[number % len(others)]
            if (came := self._attempt(replace(hit, way=way))) is not None:
                return came
        return None

    def _kill_at_random(self) -> Way:
        process = self._start({})
        if (code := _wait(process, self._chance.uniform(0, RANDOM_S))) is not None:
            raise self._ended(code, "while nothing was done to it")
        process.kill()
        process.wait()
        return Way.TIME

    def _attempt(self, hit: Hit) -> Way | None:
        way, others = hit.way, []
        if way in (Way.TAKES, Way.RIVAL):
            others.append(self._start_other(way))
        if way is Way.TAKES:
            self._until_ready(others[0], self._other)
        process = self._start(_victim(way) | {"crash_at": f"{hit.point}:{self._passing(hit)}"})
        self._until_ready(process, self._lane)
        if way is Way.RIVAL:
            self._until_ready(others[0], self._other)
            self._overtaken(process)
        if way is Way.GIVES:
            others.append(self._start_other(way))
            if process.poll() is None:
                self._until_ready(others[0], self._other)
        if way is Way.STOP:
            _wait(process, self._chance.uniform(2, 5) * FLUSH_S)
            process.terminate()
        code = _wait(process, REACH_S)
        if code is None:
            way = Way.STOP
            process.terminate()
            code = _wait(process, END_S)
        for each in (process, *others):
            each.kill()
            each.wait()
        if code not in (None, ExitCode.OK, -signal.SIGKILL):
            raise self._ended(code, f"on its way to {hit.point}")
        return way if code == -signal.SIGKILL else None

    def _overtaken(self, process: Running) -> None:
        """Holds a process up until another has written, so that a write of its own is refused.

        Where the other is too slow the attempt comes to nothing, and is made again.
        """
        process.send_signal(signal.SIGSTOP)
        try:
            before = self._written()
            with suppress(SnowmeltError):
                until(lambda: self._written() > before, REACH_S, f"{self._other} writes nothing")
        finally:
            process.send_signal(signal.SIGCONT)

    def _written(self) -> int:
        return sum(self._rig.positions(self._lane, LANE_TOPICS[self._lane]).values())

    @property
    def _other(self) -> str:
        return f"{self._lane}-other"

    def _start_other(self, way: Way) -> Running:
        """A second process, to be killed when the first one is; in a group it takes the place of the last such."""
        return self._start(_group(way, "other"), self._other)

    def _until_ready(self, process: Running, name: str) -> None:
        """Waits until the process reads, or has ended."""
        until(
            lambda: process.poll() is not None or self._rig.ready(name),
            START_S,
            lambda: f"{name} did not start within {START_S:.0f} s: {self._rig.says(name)} {self._rig.log(name)}",
        )

    def _start(self, settings: _Settings, name: str = "") -> Running:
        usual: _Settings = {
            "flush_rows": max(50, self._chance.choice((self._rows // 8, self._rows, 100_000))),
            "flush_seconds": FLUSH_S,
            "compact_seconds": 1,
            "compact_files": 24,
        }
        return self._rig.start(self._lane, self._module, name=name, **usual | settings)

    def _passing(self, hit: Hit) -> int:
        if hit.point == "window_read":
            return self._chance.randint(1, self._windows - 1)
        if hit.way is Way.FLOW and not hit.point.endswith("dead"):
            return self._chance.randint(1, PASSINGS)
        return 1

    def _ended(self, code: int, when: str) -> SnowmeltError:
        log = self._rig.log(self._lane)
        return SnowmeltError(Reason.UNAVAILABLE, f"{self._lane} ended with {code} {when}: {log}")


def _group(way: Way, member: str) -> _Settings:
    """A static member: its place is taken at once by the next of that name."""
    if way not in (Way.ALONE, Way.TAKES, Way.GIVES):
        return {}
    return {"assignment": "group", "session_seconds": SESSION_S, "member": member}


def _victim(way: Way) -> _Settings:
    """The settings of the process that is to die."""
    if way is Way.SMALL_FILES:
        return {"compact_seconds": 0.2, "compact_files": 2}
    return _group(way, "victim")


def _wait(process: Running, seconds: float) -> int | None:
    """The exit code, None where the process goes on."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
