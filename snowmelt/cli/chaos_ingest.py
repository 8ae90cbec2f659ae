"""``snowmelt chaos ingest``: kill ingest at named points, on real parts, and check against the acknowledgements."""

from typing import Annotated

import typer

from snowmelt.chaos.check import Report
from snowmelt.chaos.kills import drill
from snowmelt.cli.drilled import drilled


def ingest(
    kills: Annotated[int, typer.Option(min=4, help="how often a lane is killed, in all")] = 20,
    events: Annotated[int, typer.Option(min=100, help="how many events are sent")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Kill both lanes at four named points on a real Kafka, Redis and lake; exit 1 where an event is lost or twice."""
    good = "online state equals the lake's recomputation"
    drilled(lambda rig: drill(rig, kills, events), _lines, good, as_json=as_json)


def _lines(report: Report) -> list[str]:
    return [
        f"{sum(report.kills.values())} kills in {report.seconds:.0f} s: {report.kills}",
        f"{report.acknowledged} acknowledged: {report.lost} lost, {report.twice} twice, {report.misplaced} misplaced",
    ]
