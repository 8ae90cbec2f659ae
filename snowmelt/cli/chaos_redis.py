"""``snowmelt chaos redis``: kill, cut, empty and fail over Redis under load, and recompute the state after each."""

from typing import Annotated

import typer

from snowmelt.chaos.redis_faults import Report, drill
from snowmelt.cli.drilled import drilled


def redis(
    kills: Annotated[int, typer.Option(min=0, help="how often Redis is killed and started again")] = 50,
    cuts: Annotated[int, typer.Option(min=0, help="how often its append-only file loses its end besides")] = 20,
    flushes: Annotated[int, typer.Option(min=0, help="how often FLUSHALL is run")] = 5,
    failovers: Annotated[int, typer.Option(min=0, help="how often a replica that lagged takes over")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Break Redis again and again while events flow; exit 1 where a state, a count or a follower is wrong after it."""
    faults = {"kills": kills, "cuts": cuts, "flushes": flushes, "failovers": failovers}
    good = "online state and followers equal the lake's recomputation after each"
    drilled(lambda rig: drill(rig, faults), _lines, good, as_json=as_json)


def _lines(report: Report) -> list[str]:
    return [
        f"{sum(report.faults.values())} faults in {report.seconds:.0f} s: {report.faults}",
        f"{report.acknowledged} acknowledged: {report.lost} lost, {report.twice} twice",
        f"{report.comparisons} comparisons of {report.states:,} states in all",
        *(f"{kind}: {took['p50']:.1f} s p50, {took['max']:.1f} s max" for kind, took in report.recovery_s.items()),
    ]
