"""What the benchmarks of the event path share: the traffic, a lane's rate, and the one core that each process gets."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil

from snowmelt.api.events.v1 import events_pb2
from snowmelt.chaos.rig import Rig, until
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

NOW_MS = 1_714_521_600_000
SEED = 20_240_501
USERS, ITEMS = (50_000, 0.6), (10_000, 1.0)
"""How many there are, and the exponent of Zipf's law that says how often each comes."""
TYPES, SHARES = ("view", "click", "purchase"), (0.75, 0.2, 0.05)
TRAFFIC = (
    f"{USERS[0]:,} users (Zipf {USERS[1]}), {ITEMS[0]:,} items (Zipf {ITEMS[1]}), "
    f"{', '.join(f'{share:.0%} {name}' for name, share in zip(TYPES, SHARES, strict=True))}; "
    "times rise over one hour; 8 partitions; each lane held to one core, Redis and Kafka are not"
)

BACKLOG = 0.9
"""Of the events: what a lane is timed for. At the end of the log the lake lane waits a second for more to come."""
LOOK_S = 0.1
"""Looking where a lane is takes a core that Kafka, Redis and the lane would have."""
LEAST_S = 1.0
"""That must lie between a lane's first write and the end of what is timed."""


class Traffic:
    """Events by number, the same at every run; those beyond ``events`` go on where the hour ended."""

    def __init__(self, events: int) -> None:
        random = np.random.default_rng(SEED)
        self._step_ms = HOUR_MS / events
        self._users, self._items = (_zipf(random, *which, 1 << 18) for which in (USERS, ITEMS))
        self._types = random.choice(len(TYPES), 1 << 18, p=SHARES)

    def entities(self, number: int) -> tuple[str, str]:
        """User and item; the two lists repeat out of step."""
        return f"u{self._users[number % len(self._users)]}", f"i{self._items[number % (len(self._items) - 1)]}"

    def time_ms(self, number: int) -> int:
        """When it happened."""
        return NOW_MS + int(number * self._step_ms)

    def record(self, number: int) -> tuple[bytes, bytes, int]:
        """Key, value and time in ms."""
        user, item = self.entities(number)
        time_ms = self.time_ms(number)
        event = events_pb2.Event(
            event_id=f"{number:020d}",
            tenant=DEFAULT_TENANT,
            user_id=user,
            item_id=item,
            type=TYPES[self._types[number % len(self._types)]],
            event_time_ms=time_ms,
            categories=[f"c{int(item[1:]) % 50}"],
            price=int(item[1:]) % 90 + 0.99,
            surface="home",
        )
        return record_key(DEFAULT_TENANT, user), event.SerializeToString(), time_ms


def _zipf(random: np.random.Generator, size: int, exponent: float, count: int) -> list[int]:
    weights = np.arange(1, size + 1) ** -exponent
    drawn: list[int] = random.choice(size, count, p=weights / weights.sum()).tolist()
    return drawn


def produce(rig: Rig, traffic: Traffic, events: int) -> None:
    """Sends the first ``events`` of the traffic and waits until Kafka has them."""
    producer = Producer(rig.bootstrap, linger_ms=20, delivery_timeout_ms=120_000)
    for number in range(events):
        producer.post(EVENTS, *traffic.record(number))
    producer.flush(120)
    producer.close()


@dataclass(frozen=True)
class Look:
    """A lane at one instant: how many events its sink holds, and the seconds, its own CPU and Redis's, until then."""

    held: int
    at_s: float
    cpu_s: float
    redis_s: float


def lane_rate(rig: Rig, lane: str, events: int) -> dict[str, Any]:
    """Starts a lane on what was produced, and times it until ``BACKLOG`` of the events are in its sink; it takes all.

    ``rate`` says from when; ``first_write_s`` is how long after it was ready its first write was seen.

    Raises:
        SnowmeltError: UNAVAILABLE where it does not start, or does not catch up.
    """
    with one_core():
        process = rig.start(lane)
    seen = psutil.Process(process.pid)
    rig.wait_ready(lane)
    ready = replace(_look(rig, lane, seen), held=0)
    first = _look_at(rig, lane, seen, 1)
    done = _look_at(rig, lane, seen, BACKLOG * events)
    resident = seen.memory_info().rss / 1_048_576
    until(lambda: rig.drained(lane), 600, f"{lane} did not catch up")
    process.terminate()
    process.wait(15)
    return {**rate(ready, first, done), "first_write_s": first.at_s - ready.at_s, "resident_mbytes": resident}


def rate(ready: Look, first: Look, done: Look) -> dict[str, Any]:
    """What a lane does a second from its first write on, without its start and without what that write held.

    Where less than ``LEAST_S`` of work follows the first write, as of few events, it is counted from when the lane was
    ready; ``timed_from`` says which, ``timed_events`` how many events that are.
    """
    steady = done.at_s - first.at_s >= LEAST_S
    begin = first if steady else ready
    count = done.held - begin.held
    return {
        "events_per_s": count / (done.at_s - begin.at_s),
        "events_per_cpu_s": count / (done.cpu_s - begin.cpu_s),
        "redis_cpu_us_per_event": (done.redis_s - begin.redis_s) / count * 1e6,
        "timed_events": count,
        "timed_from": "first write" if steady else "ready",
    }


def _look_at(rig: Rig, lane: str, process: psutil.Process, held: float) -> Look:
    """The first look at which the sink holds so many events."""
    looks: list[Look] = []

    def there() -> bool:
        looks[:] = [_look(rig, lane, process)]
        return looks[0].held >= held

    until(there, 600, f"{lane} did not catch up", every_s=LOOK_S)
    return looks[0]


def _look(rig: Rig, lane: str, process: psutil.Process) -> Look:
    held = _held(rig, lane)
    return Look(held, time.perf_counter(), sum(process.cpu_times()[:2]), redis_cpu_s(rig))


def _held(rig: Rig, lane: str) -> int:
    return sum(rig.positions(lane, [EVENTS]).values())


@contextmanager
def one_core() -> Iterator[None]:
    """Processes that are started here get one core, where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def redis_cpu_s(rig: Rig) -> float:
    """CPU seconds that Redis has taken since it started."""
    spent: dict[str, float] = rig.store.client.info("cpu")
    return spent["used_cpu_user"] + spent["used_cpu_sys"]
