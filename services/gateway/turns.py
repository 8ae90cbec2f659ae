"""Few recommendations at once: each gets through in its time, where many at once would all be late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.request import Request

QUEUE = "queue"
SHARE = 0.6
"""Of its budget a request waits so much for its turn; what is left is enough to answer from popularity."""


class Turns:
    """Hands out ``at_once`` turns, first come, first served."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[bool]:
        """Whether the block has its turn; if not, the wait was too long and the answer says ``queue`` in ``degraded``.

        A stage of its own where there is anything to wait for.
        """
        if not self._free.locked():
            await self._free.acquire()
        elif not await self._waited(request):
            yield False
            return
        try:
            yield True
        finally:
            self._free.release()

    async def _waited(self, request: Request) -> bool:
        with request.stage(QUEUE):
            try:
                async with asyncio.timeout(request.left_s() * SHARE):
                    return await self._free.acquire()
            except TimeoutError:
                request.degrade(QUEUE)
                return False
