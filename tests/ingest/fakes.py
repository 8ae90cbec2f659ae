"""A log and a sink in memory, and records as clients make them."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from services.ingest.batch import I64, Batch
from services.ingest.decode import Decoded
from services.ingest.ports import Outcome
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics
from snowmelt.runtime.kafka.admin import Watermarks
from snowmelt.runtime.kafka.consumer import Place, Polled, Records
from tests.fixtures.views import EVENT_TYPES

NOW = 1_714_521_600_000
INCARNATIONS = dict.fromkeys(topics.LAKE_TOPICS, "one")
A, B = (topics.EVENTS, 0), (topics.EVENTS, 1)


def event(number: int, **fields: Any) -> bytes:
    plain = {"event_id": f"e{number}", "tenant": "default", "user_id": "ann", "item_id": f"i{number % 7}"}
    return pb.Event(**{**plain, "type": "click", "event_time_ms": NOW + number % 1000, **fields}).SerializeToString()


def records(place: Place, start: int, values: Sequence[bytes | None]) -> Records:
    n = len(values)
    times = [NOW + start + i for i in range(n)]
    return Records(*place, list(range(start, start + n)), times, [b"default/ann"] * n, list(values), [None] * n)


def run_of(place: Place, start: int, stop: int) -> Records:
    return records(place, start, [event(place[1] * 1_000_000 + n) for n in range(start, stop)])


class Log:
    """A source whose partitions are lists; what a test does to it is seen by the next poll."""

    def __init__(self, *places: Place, step: int = 50) -> None:
        self.values: dict[Place, list[bytes | None]] = {place: [] for place in places}
        self.low = dict.fromkeys(places, 0)
        self.at: dict[Place, int] = {}
        self.paused: set[Place] = set()
        self.calls: list[str] = []
        self.committed: dict[Place, int] = {}
        self.polls = 0
        self.step = step

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        self.polls += 1
        found, lost = [], []
        for place, at in list(self.at.items()):
            if place in self.paused:
                continue
            if at < self.low[place]:
                lost.append(place)
                del self.at[place]
            elif values := self.values[place][at : at + min(self.step, max_records)]:
                found.append(records(place, at, values))
                self.at[place] = at + len(values)
        if not found:
            time.sleep(min(timeout_s, 0.005))
        return Polled(found, lost)

    def begin(self, offsets: Mapping[Place, int]) -> None:
        self.calls.append("begin")
        self.at.update(offsets)

    def leave(self, places: Iterable[Place]) -> None:
        for place in places:
            self.at.pop(place, None)

    def pause(self, places: Iterable[Place]) -> None:
        self.calls.append("pause")
        self.paused.update(places)

    def resume(self, places: Iterable[Place]) -> None:
        self.calls.append("resume")
        self.paused.difference_update(places)

    def commit(self, offsets: Mapping[Place, int]) -> None:
        self.committed.update(offsets)

    def marks(self, places: Sequence[Place]) -> dict[Place, Watermarks]:
        return {place: Watermarks(self.low[place], len(self.values[place])) for place in places}


class Memory:
    """A sink; ``failures`` are raised by the next writes instead of writing, and ``open`` holds writes up."""

    def __init__(self) -> None:
        self.ids: dict[Place, list[str]] = defaultdict(list)
        self.ends: dict[Place, int] = {}
        self.told: dict[Place, int] = {}
        self.failures: list[Exception] = []
        self.begins_fail: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.other = False
        self.prepared = 0
        self.before: dict[Place, tuple[str, int]] = {}

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        if self.begins_fail:
            raise self.begins_fail.pop(0)
        self.told |= {place: self.ends.get(place, 0) for place in places}
        return {place: self.told[place] for place in places}

    def former(self, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        return {place: self.before[place] for place in places if place in self.before}

    def prepare(
        self, batch: Batch, decoded: Decoded, kept: Any, outcomes: Mapping[Place, Outcome]
    ) -> Callable[[], None]:
        self.prepared += 1

        def write() -> None:
            self.open.wait(10)
            if self.failures:
                raise self.failures.pop(0)
            for place, end in batch.ends.items():
                assert batch.starts[place] == self.ends.get(place, 0), "a gap, or a range twice"
                self.ends[place] = self.told[place] = end
            for partition, name in zip(kept["partition"].to_pylist(), kept["event_id"].to_pylist(), strict=True):
                self.ids[batch.topic, partition].append(name)

        return write

    def beat(self, places: Sequence[Place]) -> None:
        return

    def fallen(self, places: Sequence[Place]) -> set[Place]:
        return {place for place in places if self.ends.get(place, 0) < self.told.get(place, 0)}

    def exchanged(self) -> bool:
        return self.other

    def follow(self) -> None:
        self.other = False

    def event_types(self) -> tuple[str, ...]:
        return EVENT_TYPES


class NoHistory:
    """Nothing was ever kept."""

    def kept(self, column: str, place: Place, start: int, end: int) -> tuple[pa.Array | pa.ChunkedArray, I64, int]:
        return pa.array([], pa.string()), np.empty(0, np.int64), end

    def replay(self, place: Place, start: int, end: int) -> Iterator[Records]:
        return iter(())


def until(done: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.005)
