"""The time that is left for the request that is being answered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from snowmelt.contracts.errors import Reason, SnowmeltError

MAX_DEADLINE_S = 5.0

_ends_at: ContextVar[float] = ContextVar("ends_at")


def remaining_s() -> float:
    """Seconds left, never negative; the greatest deadline outside of a request."""
    return max(0.0, _ends_at.get(time.monotonic() + MAX_DEADLINE_S) - time.monotonic())


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bounds the block by ``seconds`` and by the greatest deadline.

    Raises:
        SnowmeltError: DEADLINE_EXCEEDED; at once where nothing is left.
    """
    seconds = min(seconds, MAX_DEADLINE_S)
    if seconds <= 0:
        raise SnowmeltError(Reason.DEADLINE_EXCEEDED, "the deadline had passed on arrival")
    _ends_at.set(time.monotonic() + seconds)
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise SnowmeltError(Reason.DEADLINE_EXCEEDED, f"not done within {seconds * 1000:.0f} ms") from None
