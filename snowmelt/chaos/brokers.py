"""Three Kafka nodes of which one is killed again and again, then two at once, while both lanes work."""

import time
from dataclasses import dataclass

from snowmelt.chaos.bad_records import SHARES
from snowmelt.chaos.flow import Flow
from snowmelt.chaos.group import Group, GroupReport, conclude
from snowmelt.chaos.rig import LANES, Rig, Say, until
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.errors import SnowmeltError

NODES = 3
RATE = 300.0
SESSION_S = 45
DOWN_S = 1.5
UP_S = 120.0
CALM_RECORDS = RATE
"""How little may wait once a node is back: what flows in a second."""
PATIENCE_S = 240.0
"""How long a record may wait for its acknowledgement: two of three nodes may be gone meanwhile."""


@dataclass
class BrokerReport(GroupReport):
    """What the drill found.

    Attributes:
        unacknowledged_max, behind_max: how many records waited for Kafka, and in Kafka for a lane, at most.
        recovered_max_s: the longest time from a node's return until a second's worth waited at most.
    """

    nodes_killed: int = 0
    both_down_s: float = 0.0
    unacknowledged_max: int = 0
    behind_max: int = 0
    recovered_max_s: float = 0.0


def drill(rig: Rig, kills: int, both_s: float, *, seed: int = 7, say: Say = lambda _: None) -> BrokerReport:
    """Kills one node after the other under load, then two at once, and checks.

    Args:
        rig: of three nodes, with nothing in it yet.
        kills: of one node each, which is started again.
        both_s: how long two are gone at once; 0: not at all.
        seed: of the records.
        say: takes a line of progress.
    """
    began = time.monotonic()
    report, traffic = BrokerReport({}, 0), Traffic(rig.bootstrap, seed, SHARES, patience_s=PATIENCE_S)
    groups = [Group(rig, lane, session_seconds=SESSION_S, flush_seconds=0.2) for lane in LANES]
    for group in groups:
        rig.wait_ready(group.add().name)
    nodes = rig.cluster.nodes
    with Flow(traffic, RATE):
        for number in range(kills):
            node = nodes[number % NODES]
            node.kill()
            time.sleep(DOWN_S)
            node.start()
            report.nodes_killed += 1
            _recover(rig, groups, traffic, report)
            say(f"node {node.node_id} killed and back, {number + 1} of {kills}; {traffic.sent:,} sent")
        if both_s:
            pair = nodes[:2]
            for node in pair:
                node.kill()
            time.sleep(both_s)
            for node in pair:
                node.start()
            report.nodes_killed += len(pair)
            report.both_down_s = both_s
            _recover(rig, groups, traffic, report)
            say(f"two nodes were gone for {both_s:.0f} s and are back; {traffic.sent:,} sent")
    conclude(rig, groups, traffic, report, UP_S)
    report.seconds = time.monotonic() - began
    return report


def _recover(rig: Rig, groups: list[Group], traffic: Traffic, report: BrokerReport) -> None:
    """Waits for the nodes, until records flow and both lanes have nearly caught up; no process may have ended."""
    back, sent = time.monotonic(), traffic.sent
    report.unacknowledged_max = max(report.unacknowledged_max, sent - len(traffic.acknowledged))
    rig.cluster.wait(UP_S)
    until(lambda: len(traffic.acknowledged) >= sent + RATE, UP_S, "nothing is acknowledged any more")

    def calm(lane: str) -> bool:
        behind = _behind(rig, lane)
        report.behind_max = max(report.behind_max, behind or 0)
        return behind is not None and behind < CALM_RECORDS

    for group in groups:
        until(lambda group=group: calm(group.lane), UP_S, f"{group.lane}: its lag stays")  # type: ignore[misc]
        report.problems += [
            f"{each.name} ended with {each.process.returncode}"
            for each in group.members
            if each.process.poll() is not None
        ]
        if report.problems:
            raise RuntimeError("; ".join(report.problems))
    report.recovered_max_s = max(report.recovered_max_s, time.monotonic() - back)


def _behind(rig: Rig, lane: str) -> int | None:
    """How many records wait; None while no node says so, or one that has just come up knows of no topic."""
    try:
        ends = rig.ends(lane)
        at = rig.positions(lane, sorted({topic for topic, _ in ends}))
    except SnowmeltError:
        return None
    return sum(ends[place] - at[place] for place in ends) if ends and ends.keys() == at.keys() else None
