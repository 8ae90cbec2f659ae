"""Which offsets a time stands for, what of the lake lies beyond them, and whether the log can give it again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.lake.lake import Lake
from snowmelt.lake.schemas import DEAD_LETTERS, TOPIC_TABLES
from snowmelt.runtime.kafka.admin import Admin

TOPICS = (EVENTS, IMPRESSIONS)
"""The others are compacted: the log has each key's newest record alone, so that the lake's older rows would be lost."""
_PLACE = ["incarnation", "partition", "offset", "record_time"]


@dataclass(frozen=True)
class Step:
    """One partition: the lake is at ``position`` and goes back to ``target``, which the log still holds.

    Attributes:
        rows, letters: what the lake holds at or beyond ``target``.
        low, high: where the log begins and ends.
    """

    topic: str
    partition: int
    incarnation: str
    low: int
    high: int
    position: int
    target: int
    rows: int
    letters: int

    @property
    def key(self) -> tuple[str, str, int]:
        """As the lake names the partition."""
        return (self.incarnation, self.topic, self.partition)


@dataclass(frozen=True)
class Lost:
    """Offsets [start, end) that the lake holds, that are not older than the time, and that the log cannot give again.

    ``newest_ms`` is the newest record time among them.
    """

    topic: str
    partition: int
    incarnation: str
    start: int
    end: int
    newest_ms: int
    earlier_life: bool

    def __str__(self) -> str:
        """The gap, and why it is one."""
        why = (
            f"of an earlier life of the topic (incarnation {self.incarnation})"
            if self.earlier_life
            else "in the lake and not in Kafka any more"
        )
        return f"{self.topic}/{self.partition}: records [{self.start}, {self.end}) are {why}"


@dataclass(frozen=True)
class Plan:
    """What going back to a time would do; nothing may be done where ``lost`` is not empty."""

    steps: tuple[Step, ...]
    lost: tuple[Lost, ...]

    @property
    def earliest_ms(self) -> int:
        """The first time to which one can go back."""
        return max((each.newest_ms + 1 for each in self.lost), default=0)


def plan(lake: Lake, admin: Admin, incarnations: Mapping[str, str], time_ms: int) -> Plan:
    """Looks at the lake and at the log, and changes nothing.

    Raises:
        SnowmeltError: UNAVAILABLE, or NOT_FOUND where there is no lake.
    """
    marks = admin.watermarks(TOPICS)
    at = admin.offsets_at(sorted(marks), time_ms)
    steps: list[Step] = []
    lost: list[Lost] = []
    for topic in TOPICS:
        table, own = TOPIC_TABLES[topic], incarnations[topic]
        keys = [(own, *place) for place in sorted(marks) if place[0] == topic]
        positions, unfinished = lake.ends(table, keys), lake.unfinished(table, keys)
        targets: dict[int, int] = {}
        for key in keys:
            position = positions[key]
            targets[key[2]] = min(position, at[key[1:]], unfinished.get(key, position))
        rows = _beyond(lake, table, own, targets, time_ms=time_ms)
        letters = _beyond(lake, DEAD_LETTERS, own, targets, time_ms=time_ms, topic=topic)
        for key in keys:
            place, target, position = key[1:], targets[key[2]], positions[key]
            counts = (_count(found, key, target) for found in (rows, letters))
            step = Step(*place, own, marks[place].low, marks[place].high, position, target, *counts)
            if target < position or key in unfinished:
                steps.append(step)
        lows = {key[2]: marks[key[1:]].low for key in keys}
        lost += _lost(topic, own, lows, pa.concat_tables([rows, letters]), time_ms)
    return Plan(tuple(steps), tuple(lost))


def _beyond(
    lake: Lake, table: str, incarnation: str, targets: Mapping[int, int], *, time_ms: int, topic: str = ""
) -> pa.Table:
    wanted = pc.field("record_time") >= pa.scalar(time_ms * 1000, pa.timestamp("us", "UTC"))
    for partition, target in targets.items():
        mine = (pc.field("incarnation") == incarnation) & (pc.field("partition") == partition)
        wanted = wanted | (mine & (pc.field("offset") >= target))
    return lake.read(table, _PLACE, filters=wanted & (pc.field("topic") == topic) if topic else wanted)


def _count(rows: pa.Table, key: tuple[str, str, int], target: int) -> int:
    mine = pc.and_(pc.equal(rows["incarnation"], key[0]), pc.equal(rows["partition"], key[2]))
    return int(pc.sum(pc.and_(mine, pc.greater_equal(rows["offset"], target))).as_py() or 0)


def _lost(topic: str, own: str, lows: Mapping[int, int], rows: pa.Table, time_ms: int) -> Iterator[Lost]:
    instant = pa.scalar(time_ms * 1000, pa.timestamp("us", "UTC"))
    rows = rows.filter(pc.greater_equal(rows["record_time"], instant))
    places = rows.group_by(["incarnation", "partition"]).aggregate([("offset", "min")])
    for incarnation, partition in sorted(
        zip(places["incarnation"].to_pylist(), places["partition"].to_pylist(), strict=True)
    ):
        mine = rows.filter((pc.field("incarnation") == incarnation) & (pc.field("partition") == partition))
        if incarnation == own:
            mine = mine.filter(pc.field("offset") < lows.get(partition, 0))
        if len(mine):
            offsets, newest = mine["offset"].to_pylist(), pc.max(mine["record_time"]).as_py()
            end = lows[partition] if incarnation == own else max(offsets) + 1
            newest_ms = int(newest.timestamp() * 1000)
            yield Lost(topic, partition, incarnation, min(offsets), end, newest_ms, incarnation != own)


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of ISO-8601 text (without an offset: UTC), or of a whole number that is them already.

    Raises:
        ValueError: it is neither, or lies outside of 1971 to 2100.
    """
    if text.isdecimal():
        found = int(text)
    else:
        moment = datetime.fromisoformat(text)
        found = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not 31_536_000_000 <= found < 4_133_980_800_000:
        raise ValueError(f"{text} lies outside of 1971 to 2100")
    return found


def reached(lake: Lake, steps: Sequence[Step]) -> int:
    """How many of the offsets that were taken back the lake has again."""
    done = 0
    for topic in {step.topic for step in steps}:
        mine = [step for step in steps if step.topic == topic]
        ends = lake.ends(TOPIC_TABLES[topic], [step.key for step in mine])
        done += sum(max(0, min(ends[step.key], step.position) - step.target) for step in mine)
    return done
