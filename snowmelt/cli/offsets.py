"""``snowmelt offsets``: how far both lanes are, and back to a time."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Literal

import typer

from snowmelt.cli.offsets_replay import replay
from snowmelt.contracts.errors import ExitCode
from snowmelt.contracts.topics import LANE_TOPICS
from snowmelt.embedded.places import Places, Where, ask_lanes
from snowmelt.runtime.config import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="How far both lanes are; take them back to a time")
app.command()(replay)


@app.command()
def show(
    lane: Annotated[Literal["lake", "features", "both"], typer.Option(help="which lane")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Log, sink, what Kafka shows and lag of each partition; exit code 1 where one has stopped."""
    settings = Settings.load()
    places = Places(settings)
    found = [each for name in LANE_TOPICS if lane in (name, "both") for each in places.look(name)]
    stopped = [each.stopped for each in found if each.stopped]
    if as_json:
        print(json.dumps({"places": [asdict(each) for each in found], "stopped": stopped}))
    else:
        silent = {told.part for told in ask_lanes(settings) if not told.answers and lane in (told.part, "both")}
        _print(found, sorted(silent))
    if stopped:
        raise typer.Exit(ExitCode.FAILED)


def _print(found: Sequence[Where], silent: Sequence[str]) -> None:
    for (lane, topic, incarnation), group in groupby(found, key=lambda each: (each.lane, each.topic, each.incarnation)):
        rows = list(group)
        print(f"{lane} lane  {topic}  incarnation {incarnation}")
        if not any(each.end or each.stopped for each in rows):
            print(f"  nothing was ever produced to its {len(rows)} partitions\n")
            continue
        sink = "sink" if lane == "lake" else "sink, least to most"
        print(f"{'part':>5} {'log begins':>11} {'ends':>11} {sink:>23} {'Kafka':>11} {'behind':>8} {'s':>5}")
        for each in rows:
            reach = f"{each.sink:,}"
            reach += f" {each.sink_max:,}" if each.sink_max != each.sink else ""
            committed = "-" if each.committed is None else f"{each.committed:,}"
            age = "?" if each.behind_seconds is None else _short(each.behind_seconds)
            age = "STOP" if each.stopped else age
            print(
                f"{each.partition:>5} {each.begin:>11,} {each.end:>11,} {reach:>23} {committed:>11} "
                f"{each.behind_records:>8,} {age:>5}"
            )
        print()
    if not found:
        print("there are no topics yet: `snowmelt topics create` makes them")
    for each in found:
        if each.stopped:
            print(f"stopped, {each.lane} lane: {each.stopped}")
    for lane in silent:
        print(f"note: no {lane} lane answers at SNOWMELT_LANES_OPS, so what it says of itself is not shown")


def _short(seconds: float) -> str:
    for unit, size, least in (("d", 86_400, 172_800), ("h", 3_600, 7_200), ("m", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.1f}"
