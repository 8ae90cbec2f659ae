"""The checker: lake and online store against what the producer was told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.chaos.places import I64, places
from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import differing_views
from snowmelt.chaos.traffic import AGAIN, FIRST, INVALID, Acknowledged
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS, LAKE_TOPICS, USERS
from snowmelt.featurestore.fences import TopicCounters
from snowmelt.lake import DEAD_LETTERS, TOPIC_TABLES

_NUMBERED = {EVENTS: "event_id", IMPRESSIONS: "request_id", CATALOG: "title", USERS: "attributes"}
"""The column in which a topic's rows hold their number."""


@dataclass
class Report:
    """What the checker found; ``problems`` is empty where every record is there once, in order, in both sinks."""

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
    """Compares lake and online store with what was acknowledged; both lanes must have taken everything."""
    for topic in LAKE_TOPICS:
        _check_rows(rig, topic, told, report)
    _check_letters(rig, told, report)
    counts = rig.store.fence_table.counters()
    report.applied = sum(counts.get(topic, TopicCounters()).applied for topic in FEATURE_TOPICS)
    sent = {topic: [len(told.of(topic, kind)[0]) for kind in (FIRST, AGAIN, INVALID)] for topic in LAKE_TOPICS}
    report.problems += differing_counts(rig, {topic: (n[0], n[1], n[2]) for topic, n in sent.items()})
    report.problems += [f"online: {name} differs from the lake's recomputation" for name in differing_views(rig)]


def differing_counts(rig: Rig, sent: Mapping[str, tuple[int, int, int]]) -> list[str]:
    """What the lanes say that they have applied, left out or refused of each topic, where it is not what was sent."""
    online, wrong = rig.store.fence_table.counters(), []
    for topic, expected in sent.items():
        table = TOPIC_TABLES[topic]
        progress = rig.lake.progress(table, list(rig.lake.next_offsets(table))).values()
        sums = (sum(each.duplicates for each in progress), sum(each.dead for each in progress))
        lanes = {"lake": (rig.lake.rows(table), *sums)}
        if topic in FEATURE_TOPICS:
            counts = online.get(topic, TopicCounters())
            lanes["features"] = (counts.applied, counts.duplicates, counts.dead)
        for lane, found in lanes.items():
            if found != expected:
                wrong.append(f"{lane} lane, {topic}: applied, duplicates, dead {found}, sent {expected}")
    return wrong


def _check_rows(rig: Rig, topic: str, told: Acknowledged, report: Report) -> None:
    where, numbers = told.of(topic, FIRST)
    rows = rig.lake.read(TOPIC_TABLES[topic], ["partition", "offset", _NUMBERED[topic]])
    found, found_numbers = places(topic, rows["partition"].to_numpy(), rows["offset"].to_numpy()), _numbers(topic, rows)
    lost = len(np.setdiff1d(numbers, found_numbers))
    twice = len(found) - len(np.unique(found_numbers))
    at = np.minimum(np.searchsorted(where, found), len(where) - 1)
    misplaced = len(found) if not len(where) else int(((where[at] != found) | (numbers[at] != found_numbers)).sum())
    report.landed += len(found)
    for name, count in (("lost", lost), ("twice", twice), ("misplaced", misplaced)):
        setattr(report, name, getattr(report, name) + count)
        if count:
            report.problems.append(f"lake, {topic}: {count} {name}")


def _numbers(topic: str, rows: pa.Table) -> I64:
    """The number that each row was made of: int64[n]."""
    texts = rows[_NUMBERED[topic]].combine_chunks()
    texts = pc.map_lookup(texts, pa.scalar("n"), "first") if topic == USERS else pc.utf8_slice_codeunits(texts, 1)
    found: I64 = pc.cast(texts, pa.int64()).to_numpy(zero_copy_only=False)
    return found


def _check_letters(rig: Rig, told: Acknowledged, report: Report) -> None:
    rows = rig.lake.read(DEAD_LETTERS, ["topic", "partition", "offset"])
    report.dead_letters = len(rows)
    for topic in LAKE_TOPICS:
        mine = rows.filter(pc.equal(rows["topic"], topic))
        found = np.sort(places(topic, mine["partition"].to_numpy(), mine["offset"].to_numpy()))
        sent = told.of(topic, INVALID)[0]
        if not np.array_equal(found, sent):
            report.problems.append(f"dead letters of {topic}: {len(found)}, sent {len(sent)}")
