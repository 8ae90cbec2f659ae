"""Processes that are stopped beyond their session with a write in hand, replaced, and then go on: none of it counts."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from snowmelt.chaos.bad_records import SHARES
from snowmelt.chaos.flow import Flow
from snowmelt.chaos.group import Group, GroupReport, Member, conclude
from snowmelt.chaos.rig import LANES, MODULE, Rig, Say, until
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.topics import EVENTS

SESSION_S = 3
RATE = 400.0
WAIT_S = 120.0
HELD_RECORDS = 40
"""That a process must have read and not written before it is stopped: they are what it would write as a zombie."""


@dataclass
class ZombieReport(GroupReport):
    """What the drill found; ``tried`` counts by lane the trials in which the zombie's write was refused by the sink."""

    trials: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)


def drill(
    rig: Rig, trials: int, *, module: str = MODULE, lane: str = "", seed: int = 7, say: Say = lambda _: None
) -> ZombieReport:
    """Makes a zombie of one of two processes of each lane, again and again, and checks.

    The one that is stopped has its write begun and nothing of it in the sink. While it stands, the other takes its
    partitions over and everything there is; so whatever the zombie still brought in would be there twice.

    Args:
        rig: with nothing in it yet.
        trials: of each lane.
        module: another program in the place of ``lane``'s, to see that the checker sees what it does wrong.
        lane: the one of ``module``; the other runs as it is.
        seed: of the records.
        say: takes a line of progress.
    """
    began = time.monotonic()
    report, traffic = ZombieReport({}, 0), Traffic(rig.bootstrap, seed, SHARES)
    modules = {lane: module} if lane else {}
    groups = {name: Group(rig, name, module=modules.get(name, MODULE), **_SETTINGS) for name in LANES}
    barrier = threading.Barrier(len(LANES))
    failures: list[BaseException] = []
    with Flow(traffic, RATE) as flow:

        def haunt(group: Group) -> None:
            try:
                _Haunted(rig, group, flow, barrier, report=report, say=say).run(trials)
            except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
                if not isinstance(error, threading.BrokenBarrierError):
                    failures.append(error)
                barrier.abort()
                flow.go_on()

        threads = [threading.Thread(target=haunt, args=(group,), daemon=True) for group in groups.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    conclude(rig, list(groups.values()), traffic, report, WAIT_S)
    report.seconds = time.monotonic() - began
    return report


_SETTINGS: dict[str, str | float] = {"session_seconds": SESSION_S, "flush_seconds": 0.1}


class _Haunted:
    """One lane with two processes; both lanes go through the trials side by side, as they share the flow."""

    def __init__(
        self, rig: Rig, group: Group, flow: Flow, barrier: threading.Barrier, *, report: ZombieReport, say: Say
    ) -> None:
        self._rig = rig
        self._group = group
        self._flow = flow
        self._barrier = barrier
        self._report = report
        self._say = say

    def run(self, trials: int) -> None:
        lane = self._group.lane
        for _ in range(2):
            member = self._group.add()
            self._rig.wait_ready(member.name)
        for number in range(trials):
            zombie = self._group.members[number % 2]
            tried = self._trial(zombie)
            self._report.trials[lane] = number + 1
            self._report.tried[lane] = self._report.tried.get(lane, 0) + tried
            self._say(f"{lane}: trial {number + 1} of {trials}, {self._report.tried[lane]} refused by the sink")
        if self._report.tried.get(lane, 0) < trials:
            missing = trials - self._report.tried.get(lane, 0)
            self._report.problems.append(f"{lane}: {missing} zombies wrote nothing that was refused: no trial")

    def _trial(self, zombie: Member) -> bool:
        lane, began = self._group.lane, zombie.refused()
        zombie.held.unlink(missing_ok=True)
        zombie.stall.touch()
        until(zombie.held.exists, WAIT_S, f"{zombie.name} writes nothing")
        until(lambda: self._behind() > HELD_RECORDS, WAIT_S, f"{zombie.name} reads no partition")
        zombie.send(signal.SIGSTOP)
        try:
            zombie.stall.unlink()
            self._together(self._flow.pause)
            until(lambda: self._rig.drained(lane), WAIT_S, f"{lane}: {zombie.name} was not replaced")
        finally:
            zombie.send(signal.SIGCONT)
        refused = _within(lambda: zombie.refused() > began, 10.0)
        self._together(self._flow.go_on)
        return refused

    def _behind(self) -> int:
        """Of the events alone: how far the partition is behind that is furthest."""
        ends, at = self._rig.ends(self._group.lane), self._rig.positions(self._group.lane, [EVENTS])
        return max(ends[place] - position for place, position in at.items())

    def _together(self, work: Callable[[], None]) -> None:
        """One of the lanes does it when both have come so far."""
        if self._barrier.wait(WAIT_S) == 0:
            work()
        self._barrier.wait(WAIT_S)


def _within(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.05)
    return done()
