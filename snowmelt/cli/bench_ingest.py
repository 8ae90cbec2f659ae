"""``snowmelt bench ingest``: records a second of each lane on a real Kafka, and the time from an event to online."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from snowmelt.api.events.v1 import events_pb2
from snowmelt.chaos.rig import LANES, Rig, until
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

NOW_MS = 1_714_521_600_000
HOUR_MS = 3_600_000
RATE = 500
LATENCY_SECONDS = 10
SEED = 20_240_501
USERS, ITEMS = (50_000, 0.6), (10_000, 1.0)
"""How many there are, and the exponent of Zipf's law that says how often each comes."""
TYPES, SHARES = ("view", "click", "purchase"), (0.75, 0.2, 0.05)
TRAFFIC = (
    f"{USERS[0]:,} users (Zipf {USERS[1]}), {ITEMS[0]:,} items (Zipf {ITEMS[1]}), "
    f"{', '.join(f'{share:.0%} {name}' for name, share in zip(TYPES, SHARES, strict=True))}; "
    "times rise over one hour; 8 partitions; each lane held to one core, Redis and Kafka are not"
)


def bench_ingest(
    events: Annotated[int, typer.Option(min=1000, help="how many events each lane takes")] = 500_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Measure both lanes, each alone, then the time from sending an event to its state in Redis."""
    figures: dict[str, Any] = {"events": events, "traffic": TRAFFIC, "cores": os.cpu_count(), "load": [_load()]}
    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder, Rig(Path(folder)) as rig:
        traffic = Traffic(events)
        _produce(rig, traffic, events)
        for lane in LANES:
            figures[lane] = _rate(rig, lane, events)
        figures["event_to_online"] = _latency(rig, traffic, events)
    figures["load"].append(_load())
    if as_json:
        print(json.dumps(figures))
        return
    print(TRAFFIC)
    for lane in LANES:
        rate = figures[lane]
        print(f"{lane}: {rate['events_per_s']:,.0f} events/s, {rate['events_per_cpu_s']:,.0f} a second of its CPU")
    online = figures["event_to_online"]
    print(f"event to online at {RATE}/s: p50 {online['p50_ms']:.0f} ms, p99 {online['p99_ms']:.0f} ms")
    print(f"load of the machine before and after: {figures['load'][0]:.1f}, {figures['load'][1]:.1f}")


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

    def record(self, number: int) -> tuple[bytes, bytes, int]:
        """Key, value and time in ms."""
        user, item = self.entities(number)
        time_ms = NOW_MS + int(number * self._step_ms)
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


def _produce(rig: Rig, traffic: Traffic, events: int) -> None:
    producer = Producer(rig.bootstrap, linger_ms=20, delivery_timeout_ms=120_000)
    for number in range(events):
        producer.post(EVENTS, *traffic.record(number))
    producer.flush(120)
    producer.close()


def _rate(rig: Rig, lane: str, events: int) -> dict[str, float]:
    """From the moment at which the lane is ready until its sink holds every event."""
    with _one_core():
        process = rig.start(lane)
    seen = psutil.Process(process.pid)
    rig.wait_ready(lane)
    began, cpu, redis_cpu = time.perf_counter(), sum(seen.cpu_times()[:2]), _redis_cpu(rig)
    until(lambda: rig.drained(lane), 600, f"{lane} did not catch up")
    seconds, spent = time.perf_counter() - began, sum(seen.cpu_times()[:2]) - cpu
    resident = seen.memory_info().rss / 1_048_576
    process.terminate()
    process.wait(15)
    return {
        "events_per_s": events / seconds,
        "events_per_cpu_s": events / spent,
        "redis_cpu_us_per_event": (_redis_cpu(rig) - redis_cpu) / events * 1e6,
        "resident_mbytes": resident,
    }


def _latency(rig: Rig, traffic: Traffic, events: int) -> dict[str, float]:
    """From the call that sends an event until the fences of its user's and its item's buckets lie behind it."""
    with _one_core():
        process = rig.start("features")
    rig.wait_ready("features")
    producer = Producer(rig.bootstrap)
    waiting: dict[tuple[int, int], tuple[float, list[int]]] = {}
    took: list[float] = []
    began, sent = time.perf_counter(), 0
    while sent < RATE * LATENCY_SECONDS or waiting:
        now = time.perf_counter()
        due = min(int((now - began) * RATE), RATE * LATENCY_SECONDS)
        numbers = range(events + sent, events + due)
        futures = [producer.submit(EVENTS, *traffic.record(number)) for number in numbers]
        sent = due
        for number, future in zip(numbers, futures, strict=True):
            done = future.result(10)
            buckets = [entity_bucket(DEFAULT_TENANT, entity) for entity in traffic.entities(number)]
            waiting[done.partition, done.offset] = now, buckets
        fences = {p: rig.store.fences(rig.incarnations[EVENTS], EVENTS, p) for p in {place[0] for place in waiting}}
        seen = time.perf_counter()
        online = [p for p, (_, buckets) in waiting.items() if all((fences[p[0]][b] or 0) > p[1] for b in buckets)]
        took += [(seen - waiting.pop(place)[0]) * 1000 for place in online]
        time.sleep(0.002)
    producer.close()
    process.terminate()
    process.wait(15)
    return {"p50_ms": float(np.percentile(took, 50)), "p99_ms": float(np.percentile(took, 99)), "events": len(took)}


@contextmanager
def _one_core() -> Iterator[None]:
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


def _redis_cpu(rig: Rig) -> float:
    spent: dict[str, float] = rig.store.client.info("cpu")
    return spent["used_cpu_user"] + spent["used_cpu_sys"]


def _load() -> float:
    return os.getloadavg()[0]
