"""What the one-command mode says: progress bars on a terminal, plain lines elsewhere."""

import errno
import os
import sys
import time
from types import TracebackType
from typing import IO, Any, Self, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_EVERY_S = 2.0


class Audience:
    """A stream that whoever reads it may leave: the terminal closed, the pipe's reader gone.

    What is said from then on is lost, and that alone: who says it must still stop in order.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._gone = {errno.EPIPE, errno.EIO} if stream.isatty() else {errno.EPIPE}

    def write(self, text: str) -> int:
        """As of any stream."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._left(error)
            return len(text)

    def flush(self) -> None:
        """As of any stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._left(error)

    def _left(self, error: OSError) -> None:
        if error.errno not in self._gone:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Reporter:
    """Lines and progress; ``progress`` has the form that loading and training call."""

    def __init__(self, console: Console | None = None) -> None:
        stdout = cast(IO[str], Audience(sys.stdout))
        self.console = console or Console(file=stdout, highlight=False, soft_wrap=True)
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
