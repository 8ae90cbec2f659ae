"""What the verbs of ``snowmelt chaos`` have in common: parts of their own, a report, an exit code."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import typer

from snowmelt.chaos.group import GroupReport
from snowmelt.chaos.rig import Rig
from snowmelt.contracts.errors import ExitCode


class Report(Protocol):
    """A dataclass that says what a drill found."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    problems: list[str]


R = TypeVar("R", bound=Report)


def say(line: str) -> None:
    """A line of progress, beside the report."""
    sys.stderr.write(f"{line}\n")  # threads say something at once: print would write the end of a line by itself


def group_lines(report: GroupReport) -> list[str]:
    """What drills of processes that share partitions have in common."""
    refused = ", ".join(f"{count} in {lane}" for lane, count in sorted(report.refused.items()))
    return [
        f"{report.acknowledged:,} acknowledged: {report.lost} lost, {report.twice} twice, {report.misplaced} misplaced",
        f"partitions let go {report.let_go} times, in {report.let_go_max_s:.2f} s at most; writes refused: {refused}",
    ]


def drilled(
    drill: Callable[[Rig], R],
    lines: Callable[[R], Iterable[str]],
    good: str,
    *,
    as_json: bool,
    partitions: int = 8,
    nodes: int = 1,
    forked: bool = True,
) -> None:
    """Runs a drill on parts that are made for it and go with it, and prints what came of it.

    Args:
        drill: gets the parts, gives its report.
        lines: the report for a reader, but for its problems.
        good: what to say where there are none.
        as_json: one JSON document in the place of lines.
        partitions: of each topic.
        nodes: of Kafka, 1 or 3.
        forked: see ``Rig``.

    Raises:
        typer.Exit: FAILED where there are problems.
    """
    with (
        tempfile.TemporaryDirectory(prefix="snowmelt-chaos-") as folder,
        Rig(Path(folder), partitions, nodes=nodes, forked=forked) as rig,
    ):
        report = drill(rig)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        print("\n".join([*lines(report), *(report.problems or [good])]))
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
