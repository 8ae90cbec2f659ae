"""``snowmelt chaos pressure``: a stalled lake, a burst, a hot key; memory, pauses and lag of both lanes meanwhile."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from snowmelt.chaos.gauges import Seen
from snowmelt.chaos.pressure import drill
from snowmelt.chaos.rig import Rig
from snowmelt.contracts.errors import ExitCode


def pressure(
    stall: Annotated[float, typer.Option(min=1, help="seconds for which the lake takes nothing")] = 60,
    burst: Annotated[float, typer.Option(min=1, help="seconds of five times what the lanes sustain")] = 60,
    memory_mbytes: Annotated[int, typer.Option(min=320, help="what a lane may take")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Put both lanes under pressure on a real Kafka, Redis and lake; exit 1 where memory or an event is lost."""
    with tempfile.TemporaryDirectory(prefix="snowmelt-chaos-") as folder, Rig(Path(folder)) as rig:
        report = drill(
            rig, stall, burst, memory_mbytes=memory_mbytes, say=lambda text: print(text, file=sys.stderr, flush=True)
        )
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        print(f"{report.events:,} events in {report.seconds:.0f} s")
        _show("stall", report.stall)
        print(f"  features applied {report.stall_features_applied:.0%} of what came while the lake hung")
        _show(f"burst, {report.burst_times:.1f} times", report.burst)
        print(f"  drained {report.drained_s:.0f} s after it")
        print(
            f"hot key: its partition {report.hot_partition_behind_s:.1f} s behind, "
            f"the others {report.other_partitions_behind_s:.1f} s"
        )
        print("\n".join(report.problems) or "memory held, nothing lost, lag is back")
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)


def _show(phase: str, seen: dict[str, Seen]) -> None:
    for lane, each in seen.items():
        print(
            f"{phase}: {lane}: {each.rss_mbytes:.0f} MB, lag up to {each.lag_s:.0f} s, "
            f"{each.pauses} pauses, {each.paused_partitions} partitions at once"
        )
