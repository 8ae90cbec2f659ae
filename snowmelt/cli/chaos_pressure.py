"""``snowmelt chaos pressure``: a stalled sink, a burst, a hot key; memory, pauses and lag of both lanes meanwhile."""

from typing import Annotated

import typer

from snowmelt.chaos.gauges import Seen
from snowmelt.chaos.pressure import Report, drill
from snowmelt.cli.drilled import drilled, say


def pressure(
    stall: Annotated[float, typer.Option(min=1, help="seconds for which each sink takes nothing")] = 60,
    burst: Annotated[float, typer.Option(min=1, help="seconds of five times what the lanes sustain")] = 60,
    memory_mbytes: Annotated[int, typer.Option(min=384, help="what a lane may take")] = 640,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Put both lanes under pressure on a real Kafka, Redis and lake; exit 1 where memory or an event is lost."""

    drilled(
        lambda rig: drill(rig, stall, burst, memory_mbytes=memory_mbytes, say=say),
        _lines,
        "memory held, nothing lost, lag is back",
        as_json=as_json,
        forked=False,
    )


def _lines(report: Report) -> list[str]:
    return [
        f"{report.events:,} events in {report.seconds:.0f} s",
        *(
            line
            for lane, stall in report.stalls.items()
            for line in (
                *_phase(f"{lane} stalled", stall.seen),
                f"  the other lane took {stall.other_took:.0%} of what came meanwhile",
            )
        ),
        *_phase(f"burst, {report.burst_times:.1f} times", report.burst),
        f"  drained {report.drained_s:.0f} s after it",
        *(
            f"hot key: {lane}: others done after {each.others_s:.1f} s with {each.hot_left:.0%} of its partition left "
            f"({each.hot_left_fair:.0%} where each has its part), all of it after {each.hot_s:.1f} s"
            for lane, each in report.hot_order.items()
        ),
    ]


def _phase(phase: str, seen: dict[str, Seen]) -> list[str]:
    return [
        f"{phase}: {lane}: {each.rss_mbytes:.0f} MB, lag up to {each.lag_s:.0f} s, "
        f"{each.pauses} pauses, {each.paused_partitions} partitions at once"
        for lane, each in seen.items()
    ]
