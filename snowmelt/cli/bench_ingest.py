"""``snowmelt bench ingest``: records a second of each lane on a real Kafka, and the time from an event to online."""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from snowmelt.api.events.v1 import events_pb2
from snowmelt.cli.ingest_rig import LANES, Rig, until
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

NOW_MS = 1_714_521_600_000
RATE = 500
LATENCY_SECONDS = 8


def bench_ingest(
    events: Annotated[int, typer.Option(min=1000, help="how many events each lane takes")] = 500_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Measure both lanes, each alone, then the time from an acknowledged event to its state in Redis."""
    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder, Rig(Path(folder)) as rig:
        _produce(rig, events)
        figures: dict[str, Any] = {"events": events} | {lane: _rate(rig, lane, events) for lane in LANES}
        figures["event_to_online"] = _latency(rig, events)
    if as_json:
        print(json.dumps(figures))
        return
    for lane in LANES:
        rate = figures[lane]
        print(f"{lane}: {rate['events_per_s']:,.0f} events/s, {rate['events_per_cpu_s']:,.0f} a second of CPU")
    online = figures["event_to_online"]
    print(f"event to online at {RATE}/s: p50 {online['p50_ms']:.0f} ms, p99 {online['p99_ms']:.0f} ms")


def _event(number: int) -> tuple[bytes, bytes]:
    user = f"u{number * 7919 % 20_011}"
    event = events_pb2.Event(
        event_id=f"{number:020d}",
        tenant="default",
        user_id=user,
        item_id=f"i{number * 104_729 % 5003}",
        type=("view", "click", "purchase")[number % 3],
        event_time_ms=NOW_MS - number % 3_600_000,
        categories=[f"c{number % 50}"],
        price=number % 90 + 0.99,
        surface="home",
    )
    return record_key("default", user), event.SerializeToString()


def _produce(rig: Rig, events: int) -> None:
    producer = Producer(rig.bootstrap, linger_ms=20, delivery_timeout_ms=120_000)
    for number in range(events):
        producer.post(EVENTS, *_event(number), NOW_MS)
    producer.flush(120)
    producer.close()


def _rate(rig: Rig, lane: str, events: int) -> dict[str, float]:
    """From the lane's first write on, so that starting the process is not counted."""
    process = rig.start(lane)
    seen = psutil.Process(process.pid)

    def at() -> int:
        return sum(rig.positions(lane, [EVENTS]).values())

    until(lambda: at() > 0, 60, f"{lane} took nothing")
    first, began, cpu = at(), time.perf_counter(), sum(seen.cpu_times()[:2])
    until(lambda: rig.drained(lane), 600, f"{lane} did not catch up")
    taken, seconds, spent = events - first, time.perf_counter() - began, sum(seen.cpu_times()[:2]) - cpu
    resident = seen.memory_info().rss / 1_048_576
    process.terminate()
    process.wait(15)
    return {
        "measured_events": taken,
        "events_per_s": taken / seconds,
        "events_per_cpu_s": taken / spent if spent else float("nan"),
        "resident_mbytes": resident,
    }


def _latency(rig: Rig, events: int) -> dict[str, float]:
    process = rig.start("features")
    until(lambda: rig.drained("features"), 60, "the feature lane did not start")
    producer = Producer(rig.bootstrap)
    waiting: dict[tuple[int, int], float] = {}
    took: list[float] = []
    began, sent = time.perf_counter(), 0
    while sent < RATE * LATENCY_SECONDS or waiting:
        now = time.perf_counter()
        due = min(int((now - began) * RATE), RATE * LATENCY_SECONDS)
        futures = [producer.submit(EVENTS, *_event(events + number), NOW_MS) for number in range(sent, due)]
        sent = due
        for future in futures:
            done = future.result(10)
            waiting[done.partition, done.offset] = now
        positions = rig.positions("features", [EVENTS])
        seen = time.perf_counter()
        online = [place for place in waiting if positions[EVENTS, place[0]] > place[1]]
        took += [(seen - waiting.pop(place)) * 1000 for place in online]
    producer.close()
    process.terminate()
    process.wait(15)
    return {"p50_ms": float(np.percentile(took, 50)), "p99_ms": float(np.percentile(took, 99)), "events": len(took)}
