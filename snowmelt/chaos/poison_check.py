"""What came of bad and good records: each good one stored once, each bad one a letter once, both lanes of one mind."""

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snowmelt.chaos.check import differing_counts
from snowmelt.chaos.places import places
from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import differing_views
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS, LAKE_TOPICS
from snowmelt.lake import DEAD_LETTERS, TOPIC_TABLES

KEPT_BYTES = 1_048_576
_SHOWN = 5


@dataclass(frozen=True)
class Refused:
    """A bad record as it was acknowledged."""

    reasons: frozenset[str]
    key: bytes | None
    sha256: str | None
    size: int | None


@dataclass
class Told:
    """What Kafka acknowledged; of good records, by topic, partition, offset and number as columns."""

    good: dict[str, dict[str, "array[int]"]] = field(default_factory=dict)
    again: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Refused] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for topic in LAKE_TOPICS:
            self.good[topic] = {name: array("q") for name in ("partition", "offset", "number")}


@dataclass
class Report:
    """What the drill found; ``problems`` is empty where nothing is lost, twice, or refused for another reason."""

    records: int
    bad: int
    kills: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    twice: int = 0
    dead_letters: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    by_topic: dict[str, int] = field(default_factory=dict)
    hash_and_size_alone: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def check(rig: Rig, told: Told, report: Report) -> None:
    """Fills in the report."""
    for topic in LAKE_TOPICS:
        _check_rows(rig, topic, told, report)
    _check_letters(rig, told.refused, report)
    dead = Counter(name.partition("/")[0] for name in told.refused)
    report.problems += differing_counts(
        rig, {topic: (len(told.good[topic]["number"]), told.again[topic], dead[topic]) for topic in LAKE_TOPICS}
    )
    report.problems += [f"online: {name} differs from the lake's recomputation" for name in differing_views(rig)]


def _check_rows(rig: Rig, topic: str, told: Told, report: Report) -> None:
    sent = {name: np.array(column, np.int64) for name, column in told.good[topic].items()}
    order = np.lexsort((sent["offset"], sent["partition"]))
    expected = places(topic, sent["partition"][order], sent["offset"][order])
    mark = {EVENTS: "event_id", IMPRESSIONS: "request_id"}.get(topic)
    rows = rig.lake.read(TOPIC_TABLES[topic], ["partition", "offset", *([mark] if mark else [])])
    found = places(topic, rows["partition"].to_numpy(), rows["offset"].to_numpy())
    lost, more = np.setdiff1d(expected, found), np.setdiff1d(found, expected)
    twice = len(found) - len(np.unique(found))
    report.stored[topic] = len(found)
    report.duplicates += told.again[topic]
    report.lost += len(lost)
    report.twice += twice
    for count, said in ((len(lost), "good records lost"), (twice, "twice"), (len(more), "that were not to be stored")):
        if count:
            report.problems.append(f"{topic}: {count} {said}")
    if mark and np.array_equal(found, expected):
        letter = mark[0]
        wanted = [f"{letter}{number}" for number in sent["number"][order].tolist()]
        if rows[mark].to_pylist() != wanted:
            report.problems.append(f"{topic}: rows stand at the places of others")


def _check_letters(rig: Rig, refused: dict[str, Refused], report: Report) -> None:
    rows = rig.lake.read(DEAD_LETTERS).to_pylist()
    report.dead_letters = len(rows)
    report.reasons = dict(Counter(row["reason"] for row in rows).most_common())
    report.by_topic = dict(Counter(row["topic"] for row in rows).most_common())
    report.hash_and_size_alone = sum(row["payload"] is None and row["payload_bytes"] is not None for row in rows)
    times = Counter(f"{row['topic']}/{row['partition']}/{row['offset']}" for row in rows)
    wrong = [f"{name} is no dead letter" for name in refused.keys() - times.keys()]
    wrong += [f"{name} is a dead letter and good" for name in times.keys() - refused.keys()]
    wrong += [f"{name} is a dead letter {count} times" for name, count in times.items() if count > 1]
    for row in rows:
        name = f"{row['topic']}/{row['partition']}/{row['offset']}"
        if name in refused and (said := _differs(row, refused[name])):
            wrong.append(f"{name}: {said}")
    report.problems += wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        report.problems.append(f"and {len(wrong) - _SHOWN} more of such")


def _differs(row: dict[str, Any], sent: Refused) -> str:
    if row["reason"] not in sent.reasons:
        return f"refused for {row['reason']}, not {' or '.join(sorted(sent.reasons))}"
    if (row["payload_sha256"], row["payload_bytes"], row["key"]) != (sent.sha256, sent.size, sent.key):
        return "hash, size or key is not that of the record"
    kept = sent.size is not None and sent.size <= KEPT_BYTES
    if kept != (row["payload"] is not None) or (kept and hashlib.sha256(row["payload"]).hexdigest() != sent.sha256):
        return "its bytes are not kept as they should be"
    return ""
