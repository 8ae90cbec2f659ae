"""Named places at which a drill kills the process; the only way to show that a crash there loses nothing."""

import difflib
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAKE, FEATURES = ("lake",), ("features",)
BOTH = ("lake", "features")

WRITES: dict[str, tuple[tuple[str, ...], str]] = {
    "dead": (LAKE, "the commit of a batch's dead letters"),
    "commit": (LAKE, "the commit of a batch's rows and offsets"),
    "compaction": (LAKE, "the joining of a table's small files"),
    "redis": (FEATURES, "the call that writes a batch's states and fences"),
    "beat": (FEATURES, "the call that moves the fences of idle buckets"),
    "offsets": (BOTH, "the commit of offsets to Kafka, for displays"),
}
"""What changes something outside of the process: the lanes that do it, and what it is."""

POINTS: dict[str, tuple[tuple[str, ...], str]] = {
    f"{when}_{what}": (lanes, f"{when} {meaning}")
    for what, (lanes, meaning) in WRITES.items()
    for when in ("before", "in", "after")
} | {
    "positions_read": (BOTH, "the sink has said where each partition goes on, no duplicate window was read back"),
    "window_read": (BOTH, "one partition's duplicate window was read back, others' were not"),
    "between_topics": (BOTH, "the records of one topic of a batch are on their way, those of the next are not"),
    "returning": (BOTH, "the sink was elsewhere and has been asked again, the reader was not sent back yet"),
    "in_assigned": (BOTH, "in the callback that gives partitions, none of them opened"),
    "in_revoked": (BOTH, "in the callback that takes partitions, their records dropped, the lane still theirs"),
    "draining": (BOTH, "told to stop, what was read is not all written"),
}
"""Every point, by name: the lanes that pass it, and what it means. ``in_x`` is some milliseconds after ``before_x``."""

IN_MS = 20
_SPEC = re.compile(r"^([a-z_]+):([1-9]\d*)$")


def check_spec(spec: str, lane: str) -> None:
    """Refuses what is no ``name:n`` of a point that the lane passes.

    Raises:
        ValueError: with the nearest point.
    """
    name = spec.partition(":")[0]
    known = points_of(lane)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ValueError(f"{name!r} is no point of lane {lane}" + (f"; did you mean {near[0]}?" if near else ""))
    if _SPEC.match(spec) is None:
        raise ValueError(f"{spec!r} is not {name}:n, with n from 1 on")


def points_of(lane: str) -> tuple[str, ...]:
    """The points that a lane passes."""
    return tuple(name for name, (lanes, _) in POINTS.items() if lane in lanes)


class CrashPoints:
    """``spec`` is ``name:n``: the process kills itself when it passes ``name`` the n-th time; empty: never.

    While the file ``stall_file`` exists, writes to the sink wait, and ``stall_file.held`` says that one does; what
    Kafka is told is none.
    """

    def __init__(self, spec: str = "", stall_file: str = "") -> None:
        self._stall_file = stall_file
        self._name, _, count = spec.partition(":")
        self._count = int(count or 0)
        self._passed: Counter[str] = Counter()

    def passing(self, name: str) -> None:
        """Marks a place."""
        if self._due(name):
            _die()

    @contextmanager
    def around(self, write: str) -> Iterator[None]:
        """Marks the places before, in and after a write; after it only where it did not fail."""
        while write != "offsets" and self._stall_file and os.path.exists(self._stall_file):  # noqa: PTH110 - on the way of every write
            Path(f"{self._stall_file}.held").touch()
            time.sleep(0.02)
        self.passing(f"before_{write}")
        due = self._due(f"in_{write}")
        if due:
            threading.Timer(os.getpid() % (IN_MS + 1) / 1000, _die).start()
        yield
        if due:
            _die()
        self.passing(f"after_{write}")

    def _due(self, name: str) -> bool:
        self._passed[name] += 1
        return name == self._name and self._passed[name] == self._count


NEVER = CrashPoints()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
