"""``snowmelt chaos scale``: processes of both lanes come and go while records flow."""

from typing import Annotated

import typer

from snowmelt.chaos.scale import ScaleReport, drill
from snowmelt.cli.drilled import drilled, group_lines, say


def scale(
    seconds: Annotated[float, typer.Option(min=1, help="for how long at least")] = 120,
    every: Annotated[float, typer.Option(min=0.5, help="seconds between two changes")] = 2,
    drains: Annotated[int, typer.Option(min=0, help="processes that are told to stop, at least")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Add and remove one to eight processes of each lane; exit 1 where a record is lost or twice, or one is slow."""
    drilled(
        lambda rig: drill(rig, seconds, every_s=every, drains=drains, say=say),
        _lines,
        "every record once, online state equals the lake's recomputation",
        as_json=as_json,
    )


def _lines(report: ScaleReport) -> list[str]:
    return [
        f"{report.added} added, {report.drained} drained in {report.drain_max_s:.1f} s at most, {report.most} at once",
        *group_lines(report),
        f"{report.seconds:.0f} s",
    ]
