"""``snowmelt chaos zombies``: processes that wake up after others have taken their partitions over."""

from typing import Annotated

import typer

from snowmelt.chaos.zombies import ZombieReport, drill
from snowmelt.cli.drilled import drilled, group_lines, say


def zombies(
    trials: Annotated[int, typer.Option(min=1, help="of each lane")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Stop a process beyond its session with a write in hand; exit 1 where anything of it counts when it goes on."""
    drilled(
        lambda rig: drill(rig, trials, say=say),
        _lines,
        "nothing of a zombie is in the lake or in the online store",
        as_json=as_json,
    )


def _lines(report: ZombieReport) -> list[str]:
    return [
        f"{lane}: {count} trials, {report.tried.get(lane, 0)} refused by the sink"
        for lane, count in report.trials.items()
    ] + [*group_lines(report), f"{report.seconds:.0f} s"]
