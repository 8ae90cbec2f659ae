"""``snowmelt bench rebuild``: the online state out of the lake, beside the live lane that made it, each on one core."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import online
from snowmelt.cli.bench_floors import Check, Floor, Verdict, end, lines
from snowmelt.cli.ingest_traffic import TRAFFIC, Traffic, lane_rate, one_core, produce, redis_cpu_s
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.featurestore.digest import ViewDigest, digest_view

RATIO = Floor("rebuild, beside the live lane", 3.0, "times")


def bench_rebuild(
    events: Annotated[int, typer.Option(min=1000, help="how many events")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
    check: Check = False,
) -> None:
    """Take events through the live feature lane, then rebuild the same state; exit 1 where the two differ."""
    figures: dict[str, Any] = {
        "events": events,
        "traffic": TRAFFIC,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder, Rig(Path(folder), forked=False) as rig:
        produce(rig, Traffic(events), events)
        lane_rate(rig, "lake", events)
        figures["live"] = lane_rate(rig, "features", events)
        before = _digests(rig)
        figures["rebuild"] = _rebuild(rig, events)
        rig.store.follow()
        after = _digests(rig)
    figures["ratio"] = figures["rebuild"]["events_per_s"] / figures["live"]["events_per_s"]
    figures["cpu_ratio"] = _cpu_us(figures["live"]) / _cpu_us(figures["rebuild"])
    figures["states"] = sum(digest.entities for digest in after.values())
    figures["differing"] = [view for view, digest in before.items() if not digest.agrees(after[view])]
    figures["floors"] = floors(figures["ratio"], figures["differing"])
    if as_json:
        print(json.dumps(figures))
    else:
        print(TRAFFIC)
        for way in ("live", "rebuild"):
            rate = figures[way]
            cpu_us = _cpu_us(rate)
            print(f"{way}: {rate['events_per_s']:,.0f} events/s; CPU of an event, Redis's with it: {cpu_us:.0f} us")
        ratio, cpu_ratio = figures["ratio"], figures["cpu_ratio"]
        print(f"the rebuild is {ratio:.1f} times as fast; the live lane takes {cpu_ratio:.1f} times the CPU")
        print(f"states: {figures['states']:,}")
        print(f"differing: {figures['differing'] or 'none'}")
        print("\n".join(lines(figures["floors"])))
    end(figures["floors"], check=check, wrong=bool(figures["differing"]))


def floors(ratio: float, differing: Sequence[str]) -> list[Verdict]:
    """The verdict; a rebuild that came to another state of a view is not measured."""
    return [RATIO.judge(ratio, f"other states of {', '.join(differing)}" if differing else "")]


def _digests(rig: Rig) -> dict[str, ViewDigest]:
    return {name: digest_view(view, online(rig.store, name)) for name, view in rig.views.views.items()}


def _rebuild(rig: Rig, events: int) -> dict[str, float]:
    """The verb itself in a process of its own; its rate and its CPU are from when it has started."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    environ |= {"SNOWMELT_STATE_DIR": str(rig.folder), "SNOWMELT_REDIS_URL": rig.redis_url}
    words = ("rebuild", "online", "--json")
    redis_s = redis_cpu_s(rig)
    with one_core():
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "snowmelt.cli.main", *words], env=environ, stdout=subprocess.PIPE
        )
    try:
        said = process.communicate()[0]
    finally:
        process.kill()
    if process.returncode != ExitCode.OK:
        raise SnowmeltError(Reason.INTERNAL, f"the rebuild ended with {process.returncode}")
    seconds, cpu_s = (float(json.loads(said)[name]) for name in ("duration_s", "cpu_s"))
    return {
        "events_per_s": events / seconds,
        "seconds": seconds,
        "events_per_cpu_s": events / cpu_s,
        "redis_cpu_us_per_event": (redis_cpu_s(rig) - redis_s) / events * 1e6,
    }


def _cpu_us(rate: Mapping[str, float]) -> float:
    """CPU of an event, Redis's with it: other work on the machine disturbs it less than it does the rate."""
    return 1e6 / rate["events_per_cpu_s"] + rate["redis_cpu_us_per_event"]
