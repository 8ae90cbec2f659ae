"""``snowmelt bench ingest``: records a second of each lane on a real Kafka, and the time from an event to online."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from snowmelt.chaos.rig import LANES, Rig
from snowmelt.cli.ingest_traffic import TRAFFIC, Traffic, lane_rate, one_core, produce
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

RATE = 500
LATENCY_SECONDS = 10


def bench_ingest(
    events: Annotated[int, typer.Option(min=1000, help="how many events each lane takes")] = 500_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Measure both lanes, each alone, then the time from sending an event to its state in Redis."""
    figures: dict[str, Any] = {"events": events, "traffic": TRAFFIC, "cores": os.cpu_count(), "load": [_load()]}
    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder, Rig(Path(folder)) as rig:
        traffic = Traffic(events)
        produce(rig, traffic, events)
        for lane in LANES:
            figures[lane] = lane_rate(rig, lane, events)
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


def _latency(rig: Rig, traffic: Traffic, events: int) -> dict[str, float]:
    """From the call that sends an event until the fences of its user's and its item's buckets lie behind it."""
    with one_core():
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


def _load() -> float:
    return os.getloadavg()[0]
