"""``snowmelt chaos poison``: bad records of every kind among good ones, kills meanwhile, and what came of each."""

from typing import Annotated

import typer

from snowmelt.chaos.poison import drill
from snowmelt.chaos.poison_check import Report
from snowmelt.cli.drilled import drilled, say


def poison(
    bad: Annotated[int, typer.Option(min=1, help="how many records are bad")] = 300,
    events: Annotated[int, typer.Option(min=100, help="how many records are sent in all, over all topics")] = 30_000,
    kills: Annotated[int, typer.Option(min=0, help="how often a lane is killed, in all")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Send bad records among good ones to a real Kafka; exit 1 where one is lost, twice or judged in another way."""
    if bad > events // 5:
        raise typer.BadParameter("more than a fifth of the records is bad: the lake lane would pause, and rightly so")
    drilled(
        lambda rig: drill(rig, bad, events, kills, say=say),
        _lines,
        "each bad record is a letter once; both lanes count alike",
        as_json=as_json,
    )


def _lines(report: Report) -> list[str]:
    return [
        (
            f"{report.records:,} records, {report.bad:,} of them bad, {sum(report.kills.values())} kills, "
            f"{report.seconds:.0f} s"
        ),
        (
            f"stored {sum(report.stored.values()):,}: {report.lost} lost, {report.twice} twice; "
            f"{report.duplicates:,} duplicates left out"
        ),
        f"dead letters {report.dead_letters:,}, of {report.hash_and_size_alone} hash and size alone",
        *(f"  {reason:<20} {count:>8,}" for reason, count in report.reasons.items()),
    ]
