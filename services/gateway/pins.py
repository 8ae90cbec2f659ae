"""Which release a request is pinned to, for both hops: the newest that retrieval and ranker have loaded."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from snowmelt.contracts.errors import SnowmeltError

POLL_S = 1.0
POLL_AGAIN_S = 0.3

Loaded = Callable[[], Awaitable[Sequence[str]]]


class ReleasePins:
    """The port Pins; asks both every second, and keeps what each said last while it is silent."""

    def __init__(self, retrieval: Loaded, ranker: Loaded) -> None:
        self._retrieval, self._ranker = retrieval, ranker
        self._retrieved: Sequence[str] = ()
        self._ranked: Sequence[str] = ()
        self._answers = (False, False)

    def pinned(self) -> str:
        """The first release of retrieval's list that the ranker has too; else retrieval's first; else empty."""
        both = (release for release in self._retrieved if release in self._ranked)
        return next(both, self._retrieved[0] if self._retrieved else "")

    def retrieval_answers(self) -> bool:
        """Whether retrieval answered when it was last asked."""
        return self._answers[0]

    def ranker_has(self, release_id: str) -> bool:
        """Whether the ranker had loaded the release when it last answered."""
        return release_id in self._ranked

    def ranker_answers(self) -> bool:
        """Whether the ranker answered when it was last asked."""
        return self._answers[1]

    async def poll(self) -> None:
        """Asks both once."""
        retrieved, ranked = await asyncio.gather(_ask(self._retrieval), _ask(self._ranker))
        self._answers = (retrieved is not None, ranked is not None)
        self._retrieved = self._retrieved if retrieved is None else retrieved
        self._ranked = self._ranked if ranked is None else ranked

    async def run(self) -> None:
        """Asks again and again, sooner while one is silent or there is nothing to pin."""
        while True:
            await self.poll()
            await asyncio.sleep(POLL_S if all(self._answers) and self.pinned() else POLL_AGAIN_S)


async def _ask(loaded: Loaded) -> Sequence[str] | None:
    try:
        return await loaded()
    except SnowmeltError:
        return None
