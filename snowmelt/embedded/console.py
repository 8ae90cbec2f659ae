"""What the one-command mode says: progress bars on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_EVERY_S = 2.0


class Reporter:
    """Lines and progress; ``progress`` has the form that loading and training call."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}

    def say(self, line: str) -> None:
        """Prints one line, above the bars."""
        self.console.print(line, markup=False)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Shows how much of a stage is done; a stage appears with its first call."""
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total)
            self._bars.update(self._tasks[stage], completed=done, total=total)
            return
        now = time.monotonic()
        if done >= total or now - self._said.get(stage, -PLAIN_EVERY_S) >= PLAIN_EVERY_S:
            self._said[stage] = now
            self.say(f"  {stage}: {done:,} of {total:,}")

    def __enter__(self) -> Self:
        """Bars are shown from here on, where there is a terminal."""
        if self.console.is_terminal:
            columns = (TextColumn("  {task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bars = Progress(*columns, console=self.console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The bars stay as they are."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}
