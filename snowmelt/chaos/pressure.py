"""More comes than a sink takes: memory stays bounded, nothing is dropped, lag falls back, only who is slow is late."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from snowmelt.chaos.flood import Flood
from snowmelt.chaos.gauges import Gauges, Seen
from snowmelt.chaos.rig import LANES, Rig, until
from snowmelt.client import token_of
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.auth import Role

WARM_EVENTS = 40_000
TIMES = 5.0
HOT_TIMES = 1.5
CALM_LAG_S = 5.0
"""What lag may be where nothing holds a lane or a partition up; what is exported is up to 2 s old."""
DRAIN_S = 1800.0


@dataclass
class Report:
    """Figures of each phase by lane; ``problems`` is empty where all of it holds."""

    memory_mbytes: int
    events: int = 0
    sustained_per_s: dict[str, float] = field(default_factory=dict)
    stall: dict[str, Seen] = field(default_factory=dict)
    stall_features_applied: float = 0.0
    burst: dict[str, Seen] = field(default_factory=dict)
    burst_times: float = TIMES
    drained_s: float = 0.0
    hot: dict[str, Seen] = field(default_factory=dict)
    hot_partition_behind_s: float = 0.0
    other_partitions_behind_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Drill:
    """Both lanes under pressure, phase by phase."""

    def __init__(self, rig: Rig, memory_mbytes: int, say: Callable[[str], None]) -> None:
        self._rig = rig
        self._say = say
        self._stall = rig.folder / "stall"
        self._flood = Flood(rig.bootstrap)
        self.report = Report(memory_mbytes)
        lanes = {}
        for lane in LANES:
            stall = {"stall_file": str(self._stall)} if lane == "lake" else {}
            lanes[lane] = rig.start(lane, memory_mbytes=memory_mbytes, **stall).pid
        for lane in lanes:
            rig.wait_ready(lane)
        self._pids = list(lanes.values())
        token = token_of(rig.folder / "tokens.json", Role.OPS)
        self._gauges = Gauges({lane: (pid, rig.ops(lane)) for lane, pid in lanes.items()}, token)

    def warm(self) -> float:
        """Events a second that both lanes sustain, the slower one's."""
        self._flood.run(WARM_EVENTS, 1.0)
        self._drain()
        began, at = time.monotonic(), self._flood.sent
        self._flood.send(WARM_EVENTS)
        for lane in LANES:
            until(lambda lane=lane: self._done(lane) >= self._flood.sent, 300, f"{lane} did not catch up")  # type: ignore[misc]
            self.report.sustained_per_s[lane] = (self._flood.sent - at) / (time.monotonic() - began)
        self._gauges.phase()
        return min(self.report.sustained_per_s.values())

    def stall(self, rate: float, seconds: float) -> None:
        """The lake takes nothing for a while; the feature lane must not notice."""
        self._say(f"the lake is stalled for {seconds:.0f} s at {rate:,.0f} events/s")
        self._stall.touch()
        done, at = self._done("features"), self._flood.sent
        self._flood.run(rate, seconds)
        self.report.stall_features_applied = (self._done("features") - done) / (self._flood.sent - at)
        landed = self._done("lake")
        self.report.stall = self._gauges.phase()
        self._stall.unlink()
        if landed >= self._flood.sent:
            self.report.problems.append("the lake was not stalled")
        if self.report.stall_features_applied < 0.8:
            self.report.problems.append(
                f"features applied {self.report.stall_features_applied:.0%} while the lake hung"
            )
        self._drain()

    def burst(self, rate: float, seconds: float) -> None:
        """Much more than the lanes sustain: they stand still until all of it is there, and then it comes at once."""
        self._say(f"{TIMES:.0f} times {rate:,.0f} events/s for {seconds:.0f} s, at once")
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self._flood.send(int(TIMES * rate * seconds))
            self._flood.flush()
        finally:
            for pid in self._pids:
                os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        self._drain()
        self.report.drained_s = time.monotonic() - began
        self.report.burst = self._gauges.phase()
        if not self.report.burst["features"].pauses + self.report.burst["lake"].pauses:
            self.report.problems.append("the burst paused nothing: it was no pressure")

    def hot(self, rate: float, seconds: float) -> None:
        """One user makes half of the traffic, and more comes than is sustained."""
        self._say(f"one key with half of {HOT_TIMES} times {rate:,.0f} events/s for {seconds:.0f} s")
        stop, worst = threading.Event(), []
        failures: list[BaseException] = []

        def send() -> None:
            try:
                self._flood.run(HOT_TIMES * rate, seconds, hot=True)
            except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
                failures.append(error)
            finally:
                stop.set()

        thread = threading.Thread(target=send)
        thread.start()
        while not stop.wait(0.5):
            ends, places = self._rig.ends("features"), self._rig.positions("features", [EVENTS])
            worst.append([ends[place] - places[place] for place in sorted(places)])
        thread.join()
        if failures:
            raise failures[0]
        behind = np.array(worst)
        hot = int(behind.max(axis=0).argmax())
        calm = np.delete(behind, hot, axis=1)
        self.report.hot_partition_behind_s = float(behind[:, hot].max() / (HOT_TIMES * rate / 2))
        self.report.other_partitions_behind_s = float(calm.max() / (HOT_TIMES * rate / 2 / calm.shape[1]))
        if self.report.other_partitions_behind_s > max(CALM_LAG_S, self.report.hot_partition_behind_s / 2):
            self.report.problems.append(f"a hot key made others wait {self.report.other_partitions_behind_s:.1f} s")
        self._drain()
        self.report.hot = self._gauges.phase()

    def finish(self) -> Report:
        """Counts, and what was seen in all phases."""
        report = self.report
        report.events = self._flood.sent
        self._flood.close()
        landed, applied = self._rig.lake.rows("events"), self._rig.store.fence_table.counters()[EVENTS].applied
        for lane, count in (("lake", landed), ("features", applied)):
            if count != report.events:
                report.problems.append(f"{lane}: {count} of {report.events} events")
        for phase in (report.stall, report.burst, report.hot):
            for lane, seen in phase.items():
                if seen.rss_mbytes > report.memory_mbytes:
                    report.problems.append(f"{lane}: {seen.rss_mbytes:.0f} MB of {report.memory_mbytes} MB")
        for lane in LANES:
            until(lambda lane=lane: self._gauges.lag_s(lane) < CALM_LAG_S, 60, f"the lag of {lane} stays")  # type: ignore[misc]
        self._gauges.close()
        return report

    def _done(self, lane: str) -> int:
        return sum(self._rig.positions(lane, [EVENTS]).values())

    def _drain(self) -> None:
        for lane in LANES:
            until(lambda lane=lane: self._rig.drained(lane), DRAIN_S, f"{lane} did not catch up")  # type: ignore[misc]


def drill(
    rig: Rig,
    stall_s: float,
    burst_s: float,
    *,
    memory_mbytes: int = 512,
    least_events: int = 0,
    say: Callable[[str], None] = print,
) -> Report:
    """Stalls the lake, sends five times what is sustained, then half of it from one key; checks after each.

    Args:
        rig: with nothing in it yet.
        stall_s, burst_s: how long the lake takes nothing, and how long five times what is sustained would come.
        memory_mbytes: what a lane may take.
        least_events: of the burst, where a slow machine sustains so little that it would be none.
        say: is told what is being done.
    """
    began = time.monotonic()
    run = Drill(rig, memory_mbytes, say)
    rate = run.warm()
    say(f"both lanes sustain {rate:,.0f} events/s")
    run.stall(rate / 2, stall_s)
    run.burst(rate, max(burst_s, least_events / (TIMES * rate)))
    run.hot(rate, min(burst_s, 20.0))
    report = run.finish()
    report.seconds = time.monotonic() - began
    return report
