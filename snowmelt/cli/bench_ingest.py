"""``snowmelt bench ingest``: records a second of each lane on a real Kafka, and the time from an event to online."""

import json
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from snowmelt.chaos.rig import LANES, Rig
from snowmelt.cli.bench_floors import Check, Floor, Verdict, end, lines
from snowmelt.cli.ingest_latency import latencies_ms
from snowmelt.cli.ingest_rivals import rivals
from snowmelt.cli.ingest_traffic import TRAFFIC, Traffic, lane_rate, one_core, produce
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import EVENTS
from snowmelt.featurestore.fences import Partition
from snowmelt.runtime.kafka.producer import Delivery, Producer

LANE_FLOORS = {
    "lake": Floor("events into the lake, one core", 100_000, "events/s"),
    "features": Floor("events into state, one core", 20_000, "events/s"),
}
FULL = 500_000
"""Events of which the rates have their floors; fewer are taken at a higher rate."""
RATES = (500, 1000)
P99_RATE = 500
P99 = Floor(f"event to online, p99 at {P99_RATE} events/s", 1000, "ms", at_least=False)
WARM_SECONDS, LATENCY_SECONDS = 2, 10
"""What is sent at first is not counted: the lane has only just started."""


def bench_ingest(
    events: Annotated[int, typer.Option(min=1000, help="how many events each lane takes")] = FULL,
    quix_path: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="a folder of its own that quixstreams[redis] is installed in"),
    ] = None,
    redis_server: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="a redis-server to use; else that of `make up`")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
    check: Check = False,
) -> None:
    """Measure both lanes, each alone, then the time from sending an event to its state in Redis, then rivals.

    The floors are of 500,000 events or more, and judged there.
    """
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
    figures["floors"] = floors(figures)
    print(json.dumps(figures) if as_json else "\n".join(_lines(figures)))
    end(figures["floors"], check=check)


def floors(figures: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of both lanes' rates, and of the time to online at the rate that its floor is of.

    With fewer events than ``FULL`` they do not count.
    """
    few = "" if figures["events"] >= FULL else f"it is of {FULL:,} events or more"
    (p99_ms,) = (online["p99_ms"] for online in figures["event_to_online"] if online["rate_per_s"] == P99_RATE)
    rates = [floor.judge(figures[lane]["events_per_s"], few) for lane, floor in LANE_FLOORS.items()]
    return [*rates, P99.judge(p99_ms, few)]


def _lines(figures: dict[str, Any]) -> list[str]:
    said = [TRAFFIC, "Redis {version}, memory by {allocator}".format(**figures["redis"])]
    for lane in LANES:
        rate = figures[lane]
        said.append(
            f"{lane}: {rate['events_per_s']:,.0f} events/s, {rate['events_per_cpu_s']:,.0f} a second of its CPU "
            f"(first write {rate['first_write_s']:.1f} s after ready; {rate['timed_events']:,} events timed from "
            f"{rate['timed_from']} on)"
        )
    said += [
        f"event to online at {online['rate_per_s']}/s: p50 {online['p50_ms']:.0f} ms, p99 {online['p99_ms']:.0f} ms"
        for online in figures["event_to_online"]
    ]
    for name, rival in figures["rivals"].items():
        if isinstance(rival, str):
            said.append(f"{name}: {rival}")
            continue
        times = rival["ours_times"]
        said.append(
            f"{name}: {rival['events_per_s']:,.0f} events/s; the feature lane has {times['events_per_s']:.1f} times as "
            f"many, {times['events_per_cpu_s']:.1f} times a second of CPU, "
            f"{times['events_per_cpu_s_with_redis']:.1f} with that of Redis"
        )
    said.append(f"load of the machine before and after: {figures['load'][0]:.1f}, {figures['load'][1]:.1f}")
    return [*said, *lines(figures["floors"])]


def _latencies(rig: Rig, traffic: Traffic, events: int) -> list[dict[str, float]]:
    with one_core():
        process = rig.start("features")
    rig.wait_ready("features")
    producer = Producer(rig.bootstrap)
    found: list[dict[str, float]] = []
    first = events
    try:
        for rate in RATES:
            count = rate * (WARM_SECONDS + LATENCY_SECONDS)
            took = _latencies_ms(rig, traffic, producer, range(first, first + count), rate)
            first += count
            p50, p99 = np.percentile(took, [50, 99])
            found.append({"rate_per_s": rate, "p50_ms": float(p50), "p99_ms": float(p99), "events": len(took)})
    finally:
        producer.close()
        process.terminate()
        process.wait(15)
    return found


def _latencies_ms(rig: Rig, traffic: Traffic, producer: Producer, numbers: range, rate: int) -> list[float]:
    """Without those of the first seconds; both of an event's buckets, its user's and its item's, are waited for."""

    def submit(number: int) -> Future[Delivery]:
        return producer.submit(EVENTS, *traffic.record(numbers[number]))

    def buckets_of(number: int) -> list[int]:
        return [entity_bucket(DEFAULT_TENANT, entity) for entity in traffic.entities(numbers[number])]

    def fences(partitions: set[int]) -> dict[int, list[int | None]]:
        asked = [Partition(rig.incarnations[EVENTS], EVENTS, number) for number in partitions]
        return {key.partition: known for key, known in rig.store.fence_table.of(asked).items()}

    took = latencies_ms(rate, len(numbers), submit, buckets_of, fences)
    return [ms for due_s, ms in took if due_s >= WARM_SECONDS]


def _load() -> float:
    return os.getloadavg()[0]
