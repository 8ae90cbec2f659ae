"""Dead letters as they are listed, shown and sent again; their bytes are read for those that are asked for alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake.lake import Lake, Partition
from snowmelt.lake.schemas import DEAD_LETTERS, PAYLOAD_BYTES, REPLAYS, TABLES

CHUNK_LETTERS, CHUNK_BYTES = 500, 32 * 1_048_576
_HEAD = [name for name in TABLES[DEAD_LETTERS].names if name != "payload"]
_PLACE = ("incarnation", "topic", "partition", "offset")

Place = tuple[str, str, int, int]
"""Incarnation, topic, partition, offset."""


@dataclass(frozen=True)
class Replay:
    """A letter that was sent again, and where it went."""

    sent_at: datetime
    partition: int
    offset: int


@dataclass(frozen=True)
class Letter:
    """One dead letter without its bytes; ``payload_bytes`` is None where it had no value, not even an empty one."""

    incarnation: str
    topic: str
    partition: int
    offset: int
    record_time: datetime
    reason: str
    detail: str
    key: bytes | None
    payload_sha256: str | None
    payload_bytes: int | None
    replays: tuple[Replay, ...] = ()

    @property
    def place(self) -> Place:
        """What tells it from all others."""
        return self.incarnation, self.topic, self.partition, self.offset

    @property
    def name(self) -> str:
        """What the command line calls it."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def has_payload(self) -> bool:
        """Whether its bytes were kept."""
        return self.payload_bytes is not None and self.payload_bytes <= PAYLOAD_BYTES


def letters(lake: Lake, topic: str = "", reason: str = "") -> list[Letter]:
    """All letters, or those of a topic or with a reason, the oldest first.

    Raises:
        SnowmeltError: NOT_FOUND where there is no lake.
    """
    sent: dict[Place, list[Replay]] = {}
    for row in lake.read(REPLAYS).to_pylist():
        again = Replay(row["sent_at"], row["sent_partition"], row["sent_offset"])
        sent.setdefault(tuple(row[name] for name in _PLACE), []).append(again)
    keep = pc.scalar(True)
    for name, value in (("topic", topic), ("reason", reason)):
        keep = keep & (pc.field(name) == value) if value else keep
    rows = lake.read(DEAD_LETTERS, _HEAD, filters=keep).to_pylist()
    found = [Letter(**row, replays=tuple(sent.get(tuple(row[name] for name in _PLACE), ()))) for row in rows]
    return sorted(found, key=lambda each: (each.record_time, each.name))


def heads(lake: Lake, starts: Mapping[Partition, int]) -> list[Letter]:
    """The letters at or beyond an offset of some partitions, in order, and without their replays.

    Raises:
        SnowmeltError: NOT_FOUND where there is no lake.
    """
    keep = pc.scalar(False)
    for (incarnation, topic, partition), offset in starts.items():
        mine = (pc.field("incarnation") == incarnation) & (pc.field("topic") == topic)
        keep = keep | (mine & (pc.field("partition") == partition) & (pc.field("offset") >= offset))
    found = [Letter(**row) for row in lake.read(DEAD_LETTERS, _HEAD, filters=keep).to_pylist()]
    return sorted(found, key=lambda each: each.place)


def find(lake: Lake, name: str) -> Letter:
    """The letter of a name; of several lives of the topic that of the newest.

    Raises:
        SnowmeltError: NOT_FOUND.
    """
    found = [each for each in letters(lake) if each.name == name]
    if not found:
        raise SnowmeltError(Reason.NOT_FOUND, f"there is no dead letter {name}: see `snowmelt deadletters list`")
    return found[-1]


def payloads(lake: Lake, wanted: Sequence[Letter]) -> dict[Place, bytes | None]:
    """The bytes of some letters; None where only hash and size were kept."""
    offsets: dict[tuple[str, str, int], list[int]] = {}
    for each in wanted:
        offsets.setdefault((each.incarnation, each.topic, each.partition), []).append(each.offset)
    keep = pc.scalar(False)
    for (incarnation, topic, partition), own in offsets.items():
        mine = (pc.field("incarnation") == incarnation) & (pc.field("topic") == topic)
        keep = keep | (mine & (pc.field("partition") == partition) & pc.field("offset").isin(own))
    rows = lake.read(DEAD_LETTERS, [*_PLACE, "payload"], filters=keep).to_pylist()
    return {tuple(row[name] for name in _PLACE): row["payload"] for row in rows}


def chunks(wanted: Sequence[Letter]) -> Iterator[list[Letter]]:
    """The letters in parts whose bytes fit into memory."""
    part: list[Letter] = []
    size = 0
    for each in wanted:
        size += each.payload_bytes or 0
        if part and (size > CHUNK_BYTES or len(part) == CHUNK_LETTERS):
            yield part
            part, size = [], each.payload_bytes or 0
        part.append(each)
    if part:
        yield part


def mark_replayed(lake: Lake, sent: Mapping[Letter, Replay]) -> None:
    """Marks letters that were sent again.

    Raises:
        SnowmeltError: UNAVAILABLE.
    """
    rows = [
        {name: getattr(letter, name) for name in (*_PLACE, "record_time")}
        | {"sent_at": again.sent_at, "sent_partition": again.partition, "sent_offset": again.offset}
        for letter, again in sent.items()
    ]
    lake.add(REPLAYS, pa.Table.from_pylist(rows, schema=TABLES[REPLAYS]))
