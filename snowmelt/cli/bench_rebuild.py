"""``snowmelt bench rebuild``: the online state out of the lake, beside the live lane that made it, each on one core."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import online
from snowmelt.cli.ingest_traffic import TRAFFIC, Traffic, lane_rate, one_core, produce, redis_cpu_s
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.featurestore.digest import ViewDigest, digest_view


def bench_rebuild(
    events: Annotated[int, typer.Option(min=1000, help="how many events")] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Take events through the live feature lane, then rebuild the same state; exit 1 where the two differ."""
    figures: dict[str, Any] = {
        "events": events,
        "traffic": TRAFFIC,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as folder, Rig(Path(folder)) as rig:
        produce(rig, Traffic(events), events)
        lane_rate(rig, "lake", events)
        figures["live"] = lane_rate(rig, "features", events)
        before = _digests(rig)
        figures["rebuild"] = _rebuild(rig, events)
        rig.store.follow()
        after = _digests(rig)
    figures["ratio"] = figures["rebuild"]["events_per_s"] / figures["live"]["events_per_s"]
    figures["cpu_ratio"] = figures["live"]["cpu_s"] / figures["rebuild"]["cpu_s"]
    figures["states"] = sum(digest.entities for digest in after.values())
    figures["differing"] = [view for view, digest in before.items() if not digest.agrees(after[view])]
    if as_json:
        print(json.dumps(figures))
    else:
        print(TRAFFIC)
        for way in ("live", "rebuild"):
            rate = figures[way]
            print(f"{way}: {rate['events_per_s']:,.0f} events/s, {rate['cpu_s']:.1f} s of its CPU")
        print(f"the rebuild is {figures['ratio']:.1f} times as fast; {figures['states']:,} states")
        print(f"differing: {figures['differing'] or 'none'}")
    if figures["differing"]:
        raise typer.Exit(ExitCode.FAILED)


def _digests(rig: Rig) -> dict[str, ViewDigest]:
    return {name: digest_view(view, online(rig, name)) for name, view in rig.views.views.items()}


def _rebuild(rig: Rig, events: int) -> dict[str, float]:
    """The verb itself in a process of its own; its rate is from when it has started, its CPU that of the process."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    environ |= {"SNOWMELT_STATE_DIR": str(rig.folder), "SNOWMELT_REDIS_URL": rig.redis_url}
    words = ("rebuild", "online", "--json")
    before, redis_s = _children(), redis_cpu_s(rig)
    with one_core():
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "snowmelt.cli.main", *words], env=environ, stdout=subprocess.PIPE
        )
    said = process.communicate()[0]
    if process.returncode != ExitCode.OK:
        raise SnowmeltError(Reason.INTERNAL, f"the rebuild ended with {process.returncode}")
    after, seconds = _children(), float(json.loads(said)["duration_s"])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "events_per_s": events / seconds,
        "seconds": seconds,
        "cpu_s": spent,
        "redis_cpu_us_per_event": (redis_cpu_s(rig) - redis_s) / events * 1e6,
    }


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)
