"""Where the work of a request is done: short work where it stands, since a hand-over to a thread costs more than that.

Handing over and back takes about a millisecond of two processors and a fight for the interpreter's lock; work of that
length would only grow by it, while work of many milliseconds would keep health checks and other requests waiting.
"""

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime import deadline

T = TypeVar("T")

SHORT_S = 0.006
"""Work that lately took longer than this, on average, goes to a thread."""
MEMORY = 0.1
"""The weight of the newest measurement in the average."""


class Workbench:
    """Does work within the deadline of its request: on the event loop while it is short, else on the executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._usual_s = 0.0

    async def do(self, work: Callable[[], T], *, long: bool = False) -> T:
        """What ``work`` gives; ``long``: it is known to take its time.

        Raises:
            SnowmeltError: DEADLINE_EXCEEDED where the deadline passed before the work began; what ``work`` raises.
        """
        if not long and self._usual_s <= SHORT_S:
            return self._measured(work)
        measured = work if long else lambda: self._measured(work)
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._executor, context.run, _in_time, measured)

    def _measured(self, work: Callable[[], T]) -> T:
        # Of the processor's time: a crowded machine makes work late and not long.
        begun = time.thread_time()
        try:
            return _in_time(work)
        finally:
            self._usual_s += MEMORY * (time.thread_time() - begun - self._usual_s)


def _in_time(work: Callable[[], T]) -> T:
    if not deadline.remaining_s():
        raise SnowmeltError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the work began")
    return work()
