"""``snowmelt chaos ingest``: kill ingest at named points, on real parts, and check against the acknowledgements."""

from typing import Annotated

import typer

from snowmelt.chaos.kills import KillReport, drill
from snowmelt.cli.drilled import drilled, say


def ingest(
    kills: Annotated[int, typer.Option(min=1, help="how often a lane is killed, in all")] = 60,
    events: Annotated[int, typer.Option(min=100, help="how many records are sent, over all topics")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Kill both lanes at every named point on a real Kafka, Redis and lake; exit 1 where a record is lost or twice."""
    drilled(
        lambda rig: drill(rig, kills, events, say=say),
        _lines,
        "online state equals the lake's recomputation",
        as_json=as_json,
    )


def _lines(report: KillReport) -> list[str]:
    return [
        f"{sum(report.kills.values())} kills in {report.seconds:.0f} s, {report.records:,} records acknowledged",
        *(f"  {name:<30} {count:>5}" for name, count in sorted(report.kills.items())),
        *(f"  reached otherwise: {name} ({count})" for name, count in sorted(report.ways.items())),
        f"lake: {report.landed:,} rows, {report.lost} lost, {report.twice} twice, {report.misplaced} misplaced",
        f"dead letters {report.dead_letters:,}; applied online {report.applied:,}",
        f"a reader looked at {report.versions:,} versions meanwhile, {report.joined} of them joined files",
    ]
