"""What ingest is told by its environment, SNOWMELT_INGEST_*."""

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.ingest.crash import check_spec
from snowmelt.runtime.config import Settings

_GAP = re.compile(r"^([A-Za-z0-9._-]+)/(\d+):(\d+)-(\d+)$")
_TOPIC = re.compile(r"^([A-Za-z0-9._-]+):([A-Za-z0-9_-]+)$")
_OPS = {"lake": "127.0.0.1:7091", "features": "127.0.0.1:7092"}


class IngestSettings(Settings):
    """Lane, limits and drills of ingest.

    Attributes:
        lane: which sink this process feeds.
        ops_address: health and metrics; empty: the lane's own port.
        assignment: "group" shares the partitions among the lane's processes, "all" reads all of them; "auto" is "all"
            in the embedded mode, where joining a group takes seconds.
        member: a stable name for static membership of the group.
        session_seconds: a process that the group has not heard of for so long is taken for dead.
        create_topics: whether topics that are missing are made, with ``partitions`` each.
        flush_rows, flush_seconds: the lake lane commits at so many rows, this long after the first, or where it would
            soon have to stop reading.
        wait_ms: how long the feature lane lets records gather.
        count_seconds: how long it lets impressions gather: each answer is one, and a write of one costs as much as that
            of some hundred.
        memory_mbytes: of the process at most; where the sink is slow, partitions are paused so that it holds. A
            partition of events or impressions takes up to 28 of them, for the ids of its newest 1,000,000 records.
        accept_topics: topics known to be made anew that may begin though the sink holds one before: ``topic:id``,
            comma-separated; the id is that of the new one.
        accept_gaps: records known to be lost that may be passed over: ``topic/partition:from-to``, comma-separated.
        poison_share, poison_window, poison_least: the lake lane pauses where more than this share of so many of a
            topic's newest records is bad, and at least so many are; a share of 1 is never exceeded.
        allowed_lateness_seconds: an event further behind the newest of its partition is stored with the flag ``late``.
        compact_seconds, compact_files: how often the lake lane looks for small files, and how many make it join them.
        stall_file: while this file exists, writes wait: for drills.
        crash_at: kills the process at the n-th time it passes a point of ``crash.POINTS``, ``before_commit:2``: for
            drills.
    """

    model_config = SettingsConfigDict(env_prefix="SNOWMELT_INGEST_", extra="forbid", frozen=True)

    lane: Literal["lake", "features"] = "lake"
    ops_address: str = ""
    assignment: Literal["auto", "group", "all"] = "auto"
    member: str = ""
    session_seconds: int = Field(45, ge=1, le=300)
    create_topics: bool = True
    partitions: int = Field(8, ge=1, le=1024)
    flush_rows: int = Field(100_000, ge=1)
    flush_seconds: float = Field(1.0, ge=0.01, le=60)
    wait_ms: int = Field(20, ge=0, le=10_000)
    count_seconds: float = Field(0.5, ge=0, le=60)
    memory_mbytes: int = Field(640, ge=384, le=65_536)
    accept_gaps: str = ""
    accept_topics: str = ""
    poison_share: float = Field(0.2, gt=0, le=1)
    poison_window: int = Field(10_000, ge=1, le=10_000_000)
    poison_least: int = Field(100, ge=1)
    allowed_lateness_seconds: int = Field(86_400, ge=0)
    compact_seconds: float = Field(60.0, gt=0)
    compact_files: int = Field(64, ge=2)
    crash_at: str = ""
    stall_file: str = ""

    @field_validator("accept_gaps")
    @classmethod
    def _gaps_parse(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            if _GAP.match(part.strip()) is None:
                raise ValueError(f"{part!r} is not topic/partition:from-to")
        return value

    @field_validator("accept_topics")
    @classmethod
    def _topics_parse(cls, value: str) -> str:
        for part in filter(None, value.split(",")):
            if _TOPIC.match(part.strip()) is None:
                raise ValueError(f"{part!r} is not topic:id")
        return value

    @field_validator("crash_at")
    @classmethod
    def _point_exists(cls, value: str, known: ValidationInfo) -> str:
        if value:
            check_spec(value, known.data.get("lane", ""))
        return value

    @property
    def ops(self) -> str:
        """The address of the ops listener."""
        return self.ops_address or _OPS[self.lane]

    @property
    def in_group(self) -> bool:
        """Whether partitions are shared with other processes of the lane."""
        return self.assignment == "group" or (self.assignment == "auto" and not self.embedded)

    def accepted_topics(self) -> dict[str, str]:
        """By topic the id under which it may begin anew."""
        found = (_TOPIC.match(part.strip()) for part in filter(None, self.accept_topics.split(",")))
        return {m[1]: m[2] for m in found if m is not None}

    def accepted_gaps(self) -> dict[tuple[str, int], tuple[int, int]]:
        """By topic and partition the range [from, to) that may be passed over."""
        found = (_GAP.match(part.strip()) for part in filter(None, self.accept_gaps.split(",")))
        return {(m[1], int(m[2])): (int(m[3]), int(m[4])) for m in found if m is not None}
