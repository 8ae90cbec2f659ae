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
from snowmelt.cli.ingest_rivals import rivals
from snowmelt.cli.ingest_traffic import TRAFFIC, Traffic, lane_rate, one_core, produce
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import EVENTS
from snowmelt.featurestore.fences import Partition
from snowmelt.runtime.kafka.producer import Producer

RATES = (500, 1000)
WARM_SECONDS, LATENCY_SECONDS = 2, 10
"""What is sent at first is not counted: the lane has only just started."""


def bench_ingest(
    events: Annotated[int, typer.Option(min=1000, help="how many events each lane takes")] = 500_000,
    quix_path: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="a folder of its own that quixstreams[redis] is installed in"),
    ] = None,
    redis_server: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a redis-server to use; else that of `make up`")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Measure both lanes, each alone, then the time from sending an event to its state in Redis, then rivals."""
    figures: dict[str, Any] = {"events": events, "traffic": TRAFFIC, "cores": os.cpu_count(), "load": [_load()]}
    binary = str(redis_server.resolve()) if redis_server else ""
    with (
        tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder,
        Rig(Path(folder), forked=False, redis_binary=binary) as rig,
    ):
        known = rig.store.client.info()
        figures["redis"] = {"version": known["redis_version"], "allocator": known["mem_allocator"]}
        traffic = Traffic(events)
        produce(rig, traffic, events)
        for lane in LANES:
            figures[lane] = lane_rate(rig, lane, events)
        figures["event_to_online"] = _latencies(rig, traffic, events)
        figures["rivals"] = rivals(rig, traffic, events, figures["features"], quix_path)
    figures["load"].append(_load())
    print(json.dumps(figures) if as_json else "\n".join(_lines(figures)))


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [TRAFFIC, "Redis {version}, memory by {allocator}".format(**figures["redis"])]
    for lane in LANES:
        rate = figures[lane]
        lines.append(
            f"{lane}: {rate['events_per_s']:,.0f} events/s, {rate['events_per_cpu_s']:,.0f} a second of its CPU"
        )
    lines += [
        f"event to online at {online['rate_per_s']}/s: p50 {online['p50_ms']:.0f} ms, p99 {online['p99_ms']:.0f} ms"
        for online in figures["event_to_online"]
    ]
    for name, rival in figures["rivals"].items():
        if isinstance(rival, str):
            lines.append(f"{name}: {rival}")
            continue
        times = rival["ours_times"]
        lines.append(
            f"{name}: {rival['events_per_s']:,.0f} events/s; the feature lane has {times['events_per_s']:.1f} times as "
            f"many, {times['events_per_cpu_s']:.1f} times a second of CPU, "
            f"{times['events_per_cpu_s_with_redis']:.1f} with that of Redis"
        )
    return [*lines, f"load of the machine before and after: {figures['load'][0]:.1f}, {figures['load'][1]:.1f}"]


def _latencies(rig: Rig, traffic: Traffic, events: int) -> list[dict[str, float]]:
    with one_core():
        process = rig.start("features")
    rig.wait_ready("features")
    producer = Producer(rig.bootstrap)
    found: list[dict[str, float]] = []
    first = events
    for rate in RATES:
        took = _latency_ms(rig, traffic, producer, first, rate)
        first += rate * (WARM_SECONDS + LATENCY_SECONDS)
        p50, p99 = np.percentile(took, [50, 99])
        found.append({"rate_per_s": rate, "p50_ms": float(p50), "p99_ms": float(p99), "events": len(took)})
    producer.close()
    process.terminate()
    process.wait(15)
    return found


def _latency_ms(rig: Rig, traffic: Traffic, producer: Producer, first: int, rate: int) -> list[float]:
    """From the call that sends an event until the fences of its user's and its item's buckets lie behind it."""
    waiting: dict[tuple[int, int], tuple[float, list[int]]] = {}
    took: list[tuple[float, float]] = []
    count = rate * (WARM_SECONDS + LATENCY_SECONDS)
    began, sent = time.perf_counter(), 0
    while sent < count or waiting:
        now = time.perf_counter()
        due = min(int((now - began) * rate), count)
        numbers = range(first + sent, first + due)
        futures = [producer.submit(EVENTS, *traffic.record(number)) for number in numbers]
        sent = due
        for number, future in zip(numbers, futures, strict=True):
            done = future.result(10)
            buckets = [entity_bucket(DEFAULT_TENANT, entity) for entity in traffic.entities(number)]
            waiting[done.partition, done.offset] = now, buckets
        asked = [Partition(rig.incarnations[EVENTS], EVENTS, number) for number in {place[0] for place in waiting}]
        fences = {key.partition: known for key, known in rig.store.fence_table.of(asked).items()}
        seen = time.perf_counter()
        online = [p for p, (_, buckets) in waiting.items() if all((fences[p[0]][b] or 0) > p[1] for b in buckets)]
        for place in online:
            at, _ = waiting.pop(place)
            took.append((at - began, (seen - at) * 1000))
        time.sleep(0.002)
    return [ms for at, ms in took if at >= WARM_SECONDS]


def _load() -> float:
    return os.getloadavg()[0]
