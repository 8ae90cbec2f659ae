"""What a lane shows of how far it is behind."""

import threading
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY

from services.ingest import lag
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.runtime.kafka.admin import Watermarks
from tests.ingest.fakes import until


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
