"""The processes of one lane as a consumer group: they come, share the partitions, and go."""

import itertools
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snowmelt.chaos.check import Report, check
from snowmelt.chaos.rig import MODULE, Rig, Running, until
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.errors import ExitCode

GAVE_UP, WENT_BACK = "what was read comes again", "going back to the sink's offsets"
"""What a lane logs that ends with something unwritten, and where its write was refused."""
_LET_GO = re.compile(r"let go of (\d+) partitions in ([\d.]+) s")
END_S = 30.0


@dataclass
class GroupReport(Report):
    """What a drill of processes that share partitions found.

    Attributes:
        let_go: how often a process gave partitions away, and ``let_go_max_s`` how long that held the group up at most.
        refused: how often a sink has refused what a process held for its own, by lane.
        given_up: how many that were told to stop ended in time without having written all that they had read.
    """

    let_go: int = 0
    let_go_max_s: float = 0.0
    refused: dict[str, int] = field(default_factory=dict)
    given_up: int = 0


class Member:
    """One process of a lane."""

    def __init__(self, rig: Rig, lane: str, number: int, settings: dict[str, str | float], module: str) -> None:
        self.lane = lane
        self.name = f"{lane}-{number}"
        self._rig = rig
        self.stall = rig.folder / f"{self.name}.stall"
        self.held = rig.folder / f"{self.name}.stall.held"
        self.process: Running = rig.start(
            lane, module, name=self.name, assignment="group", stall_file=str(self.stall), **settings
        )

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def drain(self) -> tuple[int | None, float]:
        """Tells it to stop; exit code (None where it did not end) and seconds.

        One that the signal itself ended before it had done anything has nothing to drain, and ends well.
        """
        began = time.monotonic()
        self.process.terminate()
        try:
            code: int | None = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            code = None
            self.process.kill()
            self.process.wait()
        if code == -signal.SIGTERM and not _log(self._rig, self.name):
            code = ExitCode.OK
        return code, time.monotonic() - began

    def ready(self) -> bool:
        """Whether it says that it reads."""
        return self._rig.ready(self.name)

    def log(self) -> str:
        """The end of what it has logged."""
        return self._rig.log(self.name)

    def refused(self) -> int:
        """How often its sink was elsewhere than it believed."""
        return _log(self._rig, self.name).count("going back to the sink's offsets")


class Group:
    """The members of one lane that run now."""

    def __init__(self, rig: Rig, lane: str, *, module: str = MODULE, **settings: str | float) -> None:
        self._rig = rig
        self._settings = settings
        self._module = module
        self._numbers = itertools.count()
        self._names: list[str] = []
        self.lane = lane
        self.members: list[Member] = []

    def add(self) -> Member:
        """Starts one more."""
        member = Member(self._rig, self.lane, next(self._numbers), dict(self._settings), self._module)
        self._names.append(member.name)
        self.members.append(member)
        return member

    def remove(self, member: Member) -> tuple[int | None, float]:
        """Drains one; as ``Member.drain``."""
        self.members.remove(member)
        return member.drain()

    def close(self) -> list[str]:
        """Drains all that run; what went wrong with it."""
        ended = {member.name: self.remove(member)[0] for member in list(self.members)}
        return [f"{name} ended with {code} when told to stop" for name, code in ended.items() if code != ExitCode.OK]

    def fill_in(self, report: GroupReport) -> None:
        """What the logs of all say that ever ran."""
        for name in self._names:
            text = _log(self._rig, name)
            took = [float(seconds) for _, seconds in _LET_GO.findall(text)]
            report.let_go += len(took)
            report.let_go_max_s = max([report.let_go_max_s, *took])
            report.given_up += text.count(GAVE_UP)
            refused = Counter(report.refused)
            refused[self.lane] += text.count(WENT_BACK)
            report.refused = dict(refused)


def conclude(rig: Rig, groups: Sequence[Group], traffic: Traffic, report: GroupReport, seconds: float) -> None:
    """Ends the traffic, lets all groups catch up and end, and checks what came of it.

    Args:
        rig: whose parts they are.
        groups: that run.
        traffic: what was sent.
        report: what is found goes there.
        seconds: for catching up.

    Raises:
        SnowmeltError: UNAVAILABLE where a lane does not catch up.
    """
    traffic.close()
    for group in groups:
        until(lambda lane=group.lane: rig.drained(lane), seconds, f"{group.lane} did not catch up")  # type: ignore[misc]
        report.problems += group.close()
        group.fill_in(report)
    report.acknowledged = len(traffic.acknowledged.first) + len(traffic.acknowledged.duplicates)
    check(rig, traffic.acknowledged, report)


def _log(rig: Rig, name: str) -> str:
    path = Path(rig.folder) / f"{name}.log"
    return path.read_text(errors="replace") if path.exists() else ""
