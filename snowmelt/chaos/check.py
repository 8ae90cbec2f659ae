"""The checker: lake and online store against what the producer was told."""

from collections import Counter
from dataclasses import dataclass, field

from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import differing_views
from snowmelt.chaos.traffic import Acknowledged
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import DEAD_LETTERS


@dataclass
class Report:
    """What the checker found; ``problems`` is empty where every event is there once, in order, in both sinks."""

    kills: dict[str, int]
    acknowledged: int
    landed: int = 0
    lost: int = 0
    twice: int = 0
    misplaced: int = 0
    dead_letters: int = 0
    applied: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def check(rig: Rig, told: Acknowledged, report: Report) -> None:
    """Compares lake and online store with what was acknowledged."""
    rows = rig.lake.read("events", ["event_id", "partition", "offset"]).to_pylist()
    found = {(row["partition"], row["offset"]): row["event_id"] for row in rows}
    times = Counter(row["event_id"] for row in rows)
    report.landed = len(rows)
    report.lost = sum(name not in times for name in told.first.values())
    report.twice = sum(count - 1 for count in times.values())
    report.misplaced = sum(told.first.get(place) != name for place, name in found.items())
    dead = rig.lake.read(DEAD_LETTERS, ["partition", "offset"]).to_pylist()
    report.dead_letters = len(dead)
    for name in ("lost", "twice", "misplaced"):
        if getattr(report, name):
            report.problems.append(f"lake: {getattr(report, name)} {name}")
    if sorted((row["partition"], row["offset"]) for row in dead) != sorted(told.invalid):
        report.problems.append(f"dead letters: {len(dead)}, sent {len(told.invalid)}")
    _check_online(rig, told, report)


def _check_online(rig: Rig, told: Acknowledged, report: Report) -> None:
    sums = rig.store.fence_table.counters()[EVENTS]
    report.applied = sums.applied
    expected = (len(told.first), len(told.duplicates), len(told.invalid))
    if (sums.applied, sums.duplicates, sums.dead) != expected:
        report.problems.append(
            f"online: applied, duplicates, dead {sums.applied, sums.duplicates, sums.dead}, acknowledged {expected}"
        )
    report.problems += [f"online: {name} differs from the lake's recomputation" for name in differing_views(rig)]
