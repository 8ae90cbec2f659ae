"""``snowmelt chaos brokers``: three Kafka nodes, killed one by one and two at once, under load."""

from typing import Annotated

import typer

from snowmelt.chaos.brokers import NODES, BrokerReport, drill
from snowmelt.cli.drilled import drilled, group_lines, say


def brokers(
    kills: Annotated[int, typer.Option(min=0, help="of one node each")] = 3,
    both: Annotated[
        float, typer.Option(min=0, help="seconds for which two nodes are gone at once; 0: not at all")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Kill Kafka nodes under load; exit 1 where an acknowledged record is lost or twice, or a process ends."""
    drilled(
        lambda rig: drill(rig, kills, both, say=say),
        _lines,
        "every acknowledged record once, no process ended",
        as_json=as_json,
        nodes=NODES,
    )


def _lines(report: BrokerReport) -> list[str]:
    return [
        (
            f"{report.nodes_killed} nodes killed, two at once for {report.both_down_s:.0f} s; "
            f"small lag again {report.recovered_max_s:.0f} s after a return at most"
        ),
        *group_lines(report),
        f"{report.seconds:.0f} s",
    ]
