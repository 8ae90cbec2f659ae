"""Floors of the benchmarks: a figure beside its bound, and whether it is met; one shape for every bench."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from snowmelt.contracts.errors import ExitCode

Check = Annotated[bool, typer.Option("--check", help="exit 1 unless every floor is met")]
"""The option of every bench: a missed floor is a result, and exit 0, unless it is given."""
Verdict = Mapping[str, Any]
"""What ``--json`` shows of a floor; ``Floor.judge`` makes it."""
MET, MISSED, NOT_VALID = "met", "missed", "not valid"


@dataclass(frozen=True)
class Floor:
    """What a figure has to keep to.

    Attributes:
        name: what the figure is of.
        bound: it is at least that, or at most where ``at_least`` is false.
        unit: of both.
    """

    name: str
    bound: float
    unit: str
    at_least: bool = True

    def judge(self, figure: float | None, invalid: str = "") -> Verdict:
        """The floor with its figure and verdict.

        Args:
            figure: None, or no finite number, where there is none.
            invalid: why the figure does not count, where it does not; it is shown all the same.
        """
        if figure is not None and not math.isfinite(figure):
            figure = None
        if figure is None and not invalid:
            invalid = "there is no figure"
        kept = figure is not None and (figure >= self.bound if self.at_least else figure <= self.bound)
        return {
            "floor": self.name,
            "figure": figure,
            "at_least" if self.at_least else "at_most": self.bound,
            "unit": self.unit,
            "verdict": NOT_VALID if invalid else MET if kept else MISSED,
            "reason": invalid,
        }


def lines(verdicts: Sequence[Verdict]) -> list[str]:
    """One line a floor."""
    return [_line(verdict) for verdict in verdicts]


def _line(verdict: Verdict) -> str:
    side = "at_least" if "at_least" in verdict else "at_most"
    figure = "none" if verdict["figure"] is None else f"{verdict['figure']:,.2f}"
    reason = f" ({verdict['reason']})" if verdict["reason"] else ""
    bound = f"{side.replace('_', ' ')} {verdict[side]:,g} {verdict['unit']}"
    return f"floor: {verdict['floor']}: {figure}, {bound}: {verdict['verdict']}{reason}"


def end(verdicts: Sequence[Verdict], *, check: bool, wrong: bool = False) -> None:
    """Ends a bench that has said everything.

    Raises:
        typer.Exit: with 1 where values that must be equal are not (``wrong``), and under ``check`` where a floor is
            missed or its figure does not count.
    """
    if wrong or (check and any(verdict["verdict"] != MET for verdict in verdicts)):
        raise typer.Exit(ExitCode.FAILED)
