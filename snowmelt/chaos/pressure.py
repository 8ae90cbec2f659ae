"""More comes than a sink takes: memory stays bounded, nothing is dropped, lag falls back, only who is slow is late."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from snowmelt.chaos.drain_order import DrainOrder, Order
from snowmelt.chaos.flood import Flood
from snowmelt.chaos.gauges import PAUSED, Gauges, Seen
from snowmelt.chaos.rig import LANES, Rig, Say, until
from snowmelt.client import token_of
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.auth import Role

WARM_EVENTS = 40_000
TIMES = 5.0
CALM_LAG_S = 5.0
"""What lag may be where nothing holds a lane up; what is exported is up to 2 s old."""
STALL_CATCH_UP_S = 60.0
ABREAST = 0.5
"""The least share of what comes that a lane applies while the other one stands still, also on a busy machine."""
HOT_S, HOT_EVENTS_LEAST = 20.0, 120_000
"""How much comes with a hot key: what the faster lane sustains in that time, and more than some writes take."""
DRAIN_S = 1800.0


@dataclass
class Stall:
    """What was seen of each lane while one stood still, and what share of that came the other one took meanwhile."""

    seen: dict[str, Seen]
    other_took: float


@dataclass
class Report:
    """Figures of each phase by lane; ``problems`` is empty where all of it holds. ``stalls`` go by who stood still."""

    memory_mbytes: int
    events: int = 0
    sustained_per_s: dict[str, float] = field(default_factory=dict)
    stalls: dict[str, Stall] = field(default_factory=dict)
    burst: dict[str, Seen] = field(default_factory=dict)
    burst_times: float = TIMES
    drained_s: float = 0.0
    hot: dict[str, Seen] = field(default_factory=dict)
    hot_order: dict[str, Order] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Drill:
    """Both lanes under pressure, phase by phase."""

    def __init__(self, rig: Rig, memory_mbytes: int, say: Say) -> None:
        self._rig = rig
        self._say = say
        self._stalls = {lane: rig.folder / f"{lane}.stall" for lane in LANES}
        self._flood = Flood(rig.bootstrap)
        self.report = Report(memory_mbytes)
        lanes = {}
        for lane in LANES:
            lanes[lane] = rig.start(lane, memory_mbytes=memory_mbytes, stall_file=str(self._stalls[lane])).pid
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

    def stall(self, lane: str, rate: float, seconds: float) -> None:
        """The sink of one lane takes nothing for a while; the other lane must not notice."""
        self._say(f"{lane} is stalled for {seconds:.0f} s at {rate:,.0f} events/s")
        (other,) = set(LANES) - {lane}
        self._stalls[lane].touch()
        done, at = self._done(other), self._flood.sent
        self._flood.run(rate, seconds)
        took = (self._done(other) - done) / (self._flood.sent - at)
        if took < ABREAST:
            self.report.problems.append(f"{other} took {took:.0%} of what came while {lane} stood still")
        try:  # without a look at the hour: on a busy machine the lane is late, but it gets there
            until(lambda: self._done(other) >= self._flood.sent, STALL_CATCH_UP_S, f"{other} waits for {lane}")
        except SnowmeltError as error:
            self.report.problems.append(error.detail)
        stood = self._done(lane) < self._flood.sent
        seen = self._gauges.phase()
        if seen[lane].lag_s < seconds / 4:
            self.report.problems.append(
                f"{lane} said {seen[lane].lag_s:.1f} s of lag after {seconds:.0f} s of standing"
            )
        self.report.stalls[lane] = Stall(seen, took)
        self._stalls[lane].unlink()
        if not stood:
            self.report.problems.append(f"{lane} was not stalled")
        self._drain()

    def burst(self, rate: float, seconds: float) -> None:
        """Much more than the lanes sustain: they stand still until all of it is there, and then it comes at once."""
        self._say(f"{TIMES:.0f} times {rate:,.0f} events/s for {seconds:.0f} s, at once")
        with self._standing():
            self._flood.send(int(TIMES * rate * seconds))
            self._flood.flush()
        began = time.monotonic()
        self._drain()
        self.report.drained_s = time.monotonic() - began
        self.report.burst = self._gauges.phase()
        if not self.report.burst["features"].pauses + self.report.burst["lake"].pauses:
            self.report.problems.append("the burst paused nothing: it was no pressure")

    def hot(self, count: int) -> None:
        """One user makes half of what comes at once; his partition alone may wait for it."""
        self._say(f"one key with half of {count:,} events, at once")
        before = {lane: self._places(lane) for lane in LANES}
        with self._standing():
            self._flood.send(count, hot=True)
            self._flood.flush()
            ends = self._rig.ends("features")
        orders = {lane: DrainOrder(places, ends) for lane, places in before.items()}
        with ThreadPoolExecutor() as pool:  # a Redis that is busy must not hold up the look at the lake
            for watching in [pool.submit(self._watch, lane, order) for lane, order in orders.items()]:
                watching.result()
        self._drain()
        self.report.hot = self._gauges.phase()
        for lane, watched in orders.items():
            order = self.report.hot_order[lane] = watched.order
            if not order.fair:
                self.report.problems.append(
                    f"{lane}: others waited for a hot key's partition: {order.hot_left:.0%} of it were left when they "
                    f"were done, {order.hot_left_fair:.0%} where each has its part"
                )

    def _watch(self, lane: str, order: DrainOrder) -> None:
        began = time.monotonic()

        def drained() -> bool:
            order.see(self._places(lane), time.monotonic() - began)
            return order.done

        until(drained, DRAIN_S, f"{lane} did not catch up")

    @contextmanager
    def _standing(self) -> Iterator[None]:
        """The lanes stand still meanwhile."""
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in self._pids:
                os.kill(pid, signal.SIGCONT)

    def finish(self) -> Report:
        """Counts, and what was seen in all phases."""
        report = self.report
        report.events = self._flood.sent
        self._flood.close()
        landed, applied = self._rig.lake.rows("events"), self._rig.store.fence_table.counters()[EVENTS].applied
        for lane, count in (("lake", landed), ("features", applied)):
            if count != report.events:
                report.problems.append(f"{lane}: {count} of {report.events} events")
        for phase in (report.burst, report.hot):
            for lane, seen in phase.items():
                if seen.after[PAUSED]:
                    report.problems.append(f"{lane}: {seen.after[PAUSED]:.0f} partitions are still paused at the end")
        for phase in (*(stall.seen for stall in report.stalls.values()), report.burst, report.hot):
            for lane, seen in phase.items():
                if seen.rss_mbytes > report.memory_mbytes:
                    report.problems.append(f"{lane}: {seen.rss_mbytes:.0f} MB of {report.memory_mbytes} MB")
        for lane in LANES:
            until(lambda lane=lane: self._gauges.lag_s(lane) < CALM_LAG_S, 60, f"the lag of {lane} stays")  # type: ignore[misc]
        self._gauges.close()
        return report

    def _places(self, lane: str) -> dict[tuple[str, int], int]:
        return self._rig.positions(lane, [EVENTS])

    def _done(self, lane: str) -> int:
        return sum(self._places(lane).values())

    def _drain(self) -> None:
        for lane in LANES:
            until(lambda lane=lane: self._rig.drained(lane), DRAIN_S, f"{lane} did not catch up")  # type: ignore[misc]


def drill(
    rig: Rig,
    stall_s: float,
    burst_s: float,
    *,
    memory_mbytes: int = 640,
    least_events: int = 0,
    say: Say = print,
) -> Report:
    """Stalls each sink, sends five times what is sustained, then some with one key in half of it; checks after each.

    Args:
        rig: with nothing in it yet.
        stall_s, burst_s: how long each sink takes nothing, and how long five times what is sustained would come.
        memory_mbytes: what a lane may take.
        least_events: of the burst, where a slow machine sustains so little that it would be none.
        say: is told what is being done.
    """
    began = time.monotonic()
    run = Drill(rig, memory_mbytes, say)
    rate = run.warm()
    say(f"both lanes sustain {rate:,.0f} events/s")
    for lane in LANES:
        run.stall(lane, rate / 2, stall_s)
    run.burst(rate, max(burst_s, least_events / (TIMES * rate)))
    fastest = max(run.report.sustained_per_s.values())
    run.hot(max(int(fastest * min(burst_s, HOT_S)), HOT_EVENTS_LEAST))
    report = run.finish()
    report.seconds = time.monotonic() - began
    return report
