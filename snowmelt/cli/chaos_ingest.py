"""``snowmelt chaos ingest``: kill ingest at named points, on real parts, and check against the acknowledgements."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from snowmelt.chaos.kills import drill
from snowmelt.chaos.rig import Rig
from snowmelt.contracts.errors import ExitCode


def ingest(
    kills: Annotated[int, typer.Option(min=4, help="how often a lane is killed, in all")] = 20,
    events: Annotated[int, typer.Option(min=100, help="how many events are sent")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Kill both lanes at four named points on a real Kafka, Redis and lake; exit 1 where an event is lost or twice."""
    with tempfile.TemporaryDirectory(prefix="snowmelt-chaos-") as folder, Rig(Path(folder)) as rig:
        report = drill(rig, kills, events)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        print(f"{sum(report.kills.values())} kills in {report.seconds:.0f} s: {report.kills}")
        print(
            f"{report.acknowledged} acknowledged: {report.lost} lost, {report.twice} twice, "
            f"{report.misplaced} misplaced"
        )
        print("\n".join(report.problems) or "online state equals the lake's recomputation")
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
