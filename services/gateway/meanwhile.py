"""Doing something while another process works on what it was asked."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from snowmelt.contracts.errors import SnowmeltError

T = TypeVar("T")

TURNS = 2
"""Turns of the event loop until a gRPC call has left: one that begins it, one in which its bytes go out."""


async def meanwhile(call: Coroutine[Any, Any, T], work: Callable[[], None]) -> T:
    """What ``call`` gives; ``work`` is done while it is under way, and its SnowmeltError is left to who needs it."""
    task = asyncio.get_running_loop().create_task(call)
    try:
        for _ in range(TURNS):
            await asyncio.sleep(0)
        with contextlib.suppress(SnowmeltError):
            work()
        return await task
    finally:
        task.cancel()
