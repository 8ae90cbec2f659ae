"""What a lane shows of how far it is behind."""

import threading
from collections.abc import Mapping, Sequence

import pytest
from prometheus_client import REGISTRY

from services.ingest import lag
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.runtime.kafka.admin import Watermarks
from tests.ingest.fakes import NOW, A, until
from tests.ingest.pipeline import Pipeline


class Marks:
    """Where the log ends; does not answer the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def watermarks(self, names: Sequence[str]) -> dict[tuple[str, int], Watermarks]:
        self.asked += 1
        if self.asked == 1:
            raise SnowmeltError(Reason.UNAVAILABLE, "not yet")
        return {(name, p): Watermarks(0, 100) for name in names for p in range(2)}


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"lane": "features", **labels})


def test_the_lag_is_shown_in_events_of_each_topic_and_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.01)
    stop, clock, marks = threading.Event(), Clock(0), Marks()
    oldest: list[int | None] = [clock.now_ms() - 5000]
    arguments = {
        "clock": clock,
        "positions": lambda: {(EVENTS, 0): 40, (EVENTS, 1): 100, (EVENTS, 7): 3},
        "oldest_ms": lambda: oldest[0],
        "stopped": (),
        "first_times_ms": lambda starts: {},
        "stop": stop,
    }
    thread = threading.Thread(target=lag.watch, args=("features", (EVENTS, IMPRESSIONS), marks), kwargs=arguments)
    thread.start()
    try:
        until(lambda: (gauge("snowmelt_lag_seconds") or 0) >= 5.0)
        assert gauge("snowmelt_lag_events", topic=EVENTS) == 60
        assert gauge("snowmelt_lag_events", topic=IMPRESSIONS) == 0
        oldest[0] = None
        until(lambda: gauge("snowmelt_lag_seconds") == 0.0)
    finally:
        stop.set()
        thread.join(10)


def test_a_partition_that_has_stopped_counts_with_its_first_record_until_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.01)
    pipeline, stop, looked = Pipeline(), threading.Event(), list[Mapping[tuple[str, int], int]]()

    def first_times_ms(starts: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        looked.append(starts)
        return {place: NOW + at for place, at in starts.items()}

    class Log:
        def watermarks(self, names: Sequence[str]) -> dict[tuple[str, int], Watermarks]:
            return pipeline.log.marks(list(pipeline.log.values))

    arguments = {
        "clock": Clock(0, lambda: NOW + 60 + 5000),
        "positions": pipeline.lane.positions,
        "oldest_ms": pipeline.intake.oldest_ms,
        "stopped": pipeline.intake.stopped,
        "first_times_ms": first_times_ms,
        "stop": stop,
    }
    pipeline.fill(A, 10)
    thread = threading.Thread(target=lag.watch, args=("features", (EVENTS,), Log()), kwargs=arguments)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
        pipeline.log.low[A] = 60
        pipeline.fill(A, 90)
        until(lambda: A in pipeline.intake.stopped)
        thread.start()
        try:
            until(lambda: gauge("snowmelt_lag_seconds") == 5.0)
            assert gauge("snowmelt_lag_events", topic=EVENTS) == 90
            until(lambda: not pipeline.intake.buffer.fill)
            assert looked == [{A: 60}]
            pipeline.intake.taken([A])
            until(lambda: gauge("snowmelt_lag_seconds") == 0.0)
        finally:
            stop.set()
            thread.join(10)
