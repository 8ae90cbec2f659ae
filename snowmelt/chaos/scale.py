"""One to eight processes of each lane share the partitions; one comes or goes every other second."""

import random
import time
from dataclasses import dataclass

from snowmelt.chaos.bad_records import SHARES
from snowmelt.chaos.flow import Flow
from snowmelt.chaos.group import Group, GroupReport, conclude
from snowmelt.chaos.rig import LANES, Rig, Say
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.errors import ExitCode

MOST = 8
RATE = 500.0
SESSION_S = 10
LET_GO_S, DRAIN_S = 5.0, 10.0
CATCH_UP_S = 300.0
SAY_S = 5.0


@dataclass
class ScaleReport(GroupReport):
    """What the drill found.

    Attributes:
        drained: how many that had begun to read were told to stop, and ``cut_short`` how many that had not.
        most: how many processes one lane had at once.
    """

    added: int = 0
    drained: int = 0
    cut_short: int = 0
    drain_max_s: float = 0.0
    most: int = 0


def drill(
    rig: Rig,
    seconds: float,
    *,
    every_s: float = 2.0,
    drains: int = 0,
    seed: int = 7,
    say: Say = lambda _: None,
) -> ScaleReport:
    """Adds or removes a process of a lane every ``every_s``, lane by lane, and checks.

    Args:
        rig: with nothing in it yet.
        seconds: for how long at least.
        every_s: between two changes.
        drains: how many processes that read are told to stop at least.
        seed: of the records and of who comes and goes.
        say: takes a line of progress.
    """
    began = time.monotonic()
    report, traffic = ScaleReport({}, 0), Traffic(rig.bootstrap, seed, SHARES)
    chance = random.Random(seed)  # noqa: S311 - a drill that can be repeated
    groups = [Group(rig, lane, session_seconds=SESSION_S, flush_seconds=0.2) for lane in LANES]
    for group in groups:
        rig.wait_ready(group.add().name)
    with Flow(traffic, RATE):
        said = changed = time.monotonic()
        turn = 0
        while time.monotonic() - began < seconds or report.drained < drains:
            _change(groups[turn % len(groups)], chance, report)
            turn += 1
            changed += every_s
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                say(f"{said - began:.0f} s: {report.added} added, {report.drained} drained, now "
                    f"{' and '.join(str(len(group.members)) for group in groups)}")  # fmt: skip
            time.sleep(max(0.0, changed - time.monotonic()))
    say(f"{traffic.sent:,} sent; waiting for both lanes")
    conclude(rig, groups, traffic, report, CATCH_UP_S)
    if report.let_go_max_s > LET_GO_S:
        report.problems.append(f"partitions were let go in {report.let_go_max_s:.1f} s, more than {LET_GO_S:.0f}")
    report.seconds = time.monotonic() - began
    return report


def _change(group: Group, chance: random.Random, report: ScaleReport) -> None:
    """One more or one less, between 1 and 8."""
    for member in [each for each in group.members if each.process.poll() is not None]:
        report.problems.append(f"{member.name} ended with {member.process.returncode} by itself")
        group.members.remove(member)
    count = len(group.members)
    if count <= 1 or (count < MOST and chance.random() < 0.5):
        group.add()
        report.added += 1
        report.most = max(report.most, len(group.members))
        return
    member = chance.choice(group.members)
    ready = member.ready()
    code, took = group.remove(member)
    if ready:
        report.drained += 1
    else:
        report.cut_short += 1
    report.drain_max_s = max(report.drain_max_s, took)
    if took > DRAIN_S:
        report.problems.append(
            f"{member.name} ended {took:.1f} s after it was told to, more than {DRAIN_S:.0f}: {member.log()}"
        )
    if code != ExitCode.OK:
        report.problems.append(f"a process of {group.lane} ended with {code} when told to stop")
