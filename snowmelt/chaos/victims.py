"""Processes of one lane, each brought to a point where it kills itself, or killed at a random time."""

import random
import signal
import subprocess

from snowmelt.chaos.plan import Hit, Way
from snowmelt.chaos.rig import Rig, until
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError

REACH_S, START_S, END_S = 20.0, 60.0, 20.0
"""How long a process may take to a point, to its start and to its end."""
RANDOM_S = 3.0
PASSINGS = 3
"""A point on the way of the records is hit at one of its first passings."""
SESSION_S = 6
FLUSH_S = 0.1
ATTEMPTS = 3

_IN_GROUP = (Way.ALONE, Way.TAKES, Way.GIVES)
_Process = subprocess.Popen[bytes]
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

        A process that does not reach its point in time is told to stop, since many points are passed then too.

        Raises:
            SnowmeltError: UNAVAILABLE where a process ends otherwise than by a kill or when told.
        """
        if hit.way is Way.TIME:
            return self._kill_at_random()
        for _ in range(ATTEMPTS):
            if (way := self._attempt(hit)) is not None:
                return way
        return None

    def _kill_at_random(self) -> Way:
        process = self._start({})
        if (code := _wait(process, self._chance.uniform(0, RANDOM_S))) is not None:
            raise self._ended(code, "while nothing was done to it")
        process.kill()
        process.wait()
        return Way.TIME

    def _attempt(self, hit: Hit) -> Way | None:
        way = hit.way
        other = self._start(_group(way), f"{self._lane}-other") if way is Way.TAKES else None
        if other is not None:
            self._rig.wait_ready(f"{self._lane}-other", START_S)
        process = self._start(_victim(way) | {"crash_at": f"{hit.point}:{self._passing(hit)}"})
        if way in (Way.STOP, Way.GIVES):
            until(lambda: process.poll() is not None or self._rig.ready(self._lane), START_S, self._late(hit))
        if way is Way.STOP:
            _wait(process, self._chance.uniform(2, 5) * FLUSH_S)
            process.terminate()
        elif way in (Way.GIVES, Way.RIVAL):
            other = self._start(_group(way), f"{self._lane}-other")
        code = _wait(process, REACH_S)
        if code is None:
            way = Way.STOP
            process.terminate()
            code = _wait(process, END_S)
        process.kill()
        process.wait()
        if other is not None:
            self._end(other, way)
        if code not in (None, ExitCode.OK, -signal.SIGKILL):
            raise self._ended(code, f"on its way to {hit.point}")
        return way if code == -signal.SIGKILL else None

    def _start(self, settings: _Settings, name: str = "") -> _Process:
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

    def _end(self, other: _Process, way: Way) -> None:
        """One of a group leaves it in order, as the group would wait for it; another is killed as it is."""
        if way is Way.RIVAL:
            other.kill()
            other.wait()
            return
        other.terminate()
        if (code := _wait(other, END_S)) not in (ExitCode.OK, -signal.SIGTERM):
            raise self._ended(code, "when told to stop", f"{self._lane}-other")

    def _ended(self, code: int | None, when: str, name: str = "") -> SnowmeltError:
        log = self._rig.log(name or self._lane)
        return SnowmeltError(Reason.UNAVAILABLE, f"{name or self._lane} ended with {code} {when}: {log}")

    def _late(self, hit: Hit) -> str:
        return f"{self._lane} did not start within {START_S:.0f} s on its way to {hit.point}"


def _group(way: Way) -> _Settings:
    return {"assignment": "group", "session_seconds": SESSION_S} if way in _IN_GROUP else {}


def _victim(way: Way) -> _Settings:
    """The settings of the process that is to die; a static member's place is taken at once by the next."""
    if way is Way.SMALL_FILES:
        return {"compact_seconds": 0.2, "compact_files": 2}
    return _group(way) | ({"member": "victim"} if way in _IN_GROUP else {})


def _wait(process: _Process, seconds: float) -> int | None:
    """The exit code, None where the process goes on."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
