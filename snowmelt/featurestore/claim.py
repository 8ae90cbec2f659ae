"""One rebuild at a time: a claim in Redis that lapses where its holder dies, and that all it may do is bound to.

A holder that was stopped for longer than the claim lasts, and then goes on, harms nothing: Redis itself refuses its
writes, its switch and its removal of keys once the claim is gone or another's.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors, server_life
from snowmelt.featurestore.generations import Generations, generation_name, number_of

CLAIM_S = 15
RENEW_S = 3.0
STEP_KEYS = 1000
"""Keys that one call looks at or removes: Redis serves nobody else meanwhile."""

_UNLINK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
return redis.call('UNLINK', unpack(KEYS, 2))
"""


class Claim:
    """The right to make a generation, to be used as a context manager.

    Raises, on entering:
        SnowmeltError: UNAVAILABLE, also where another rebuild has the claim.
    """

    def __init__(self, client: redis.Redis, tenant: str = DEFAULT_TENANT) -> None:
        self._client, self._tenant = client, tenant
        self._generations = Generations(client, tenant)
        self._token = uuid.uuid4().hex
        self._unlink = client.register_script(_UNLINK)
        self._life = ("", "")
        self._done = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="claim", daemon=True)

    def __enter__(self) -> Self:
        with redis_errors():
            if not self._client.set(names.REBUILD, self._token, nx=True, ex=CLAIM_S):
                detail = (
                    "another rebuild of the online state is at work, or was killed a moment ago: wait until it has "
                    f"ended; the claim of one that was killed lapses within {CLAIM_S} s"
                )
                raise SnowmeltError(Reason.UNAVAILABLE, detail)
            self._life = server_life(self._client)
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._renewing.join()
        with suppress(RedisError):  # it lapses
            self._unlink(keys=[names.REBUILD, names.REBUILD], args=[self._token])

    def next_generation(self, views_hash: str) -> str:
        """The name of a generation that was never begun before."""
        with redis_errors():
            live = self._generations.current()
            behind = number_of(live) if live else 0
            number = int(self._client.incr(names.ATTEMPTS))
            if number <= behind:
                number = int(self._client.incrby(names.ATTEMPTS, behind + 1 - number))
        return generation_name(number, views_hash)

    def write(self, add: Callable[[Pipeline], None], *, final: bool = False) -> None:
        """Sends what ``add`` puts into a transaction; ``final`` asks besides that nothing written before was lost.

        Raises:
            SnowmeltError: UNAVAILABLE, also where the claim was lost; nothing is written then.
        """

        def bound(pipeline: Pipeline) -> None:
            mine = pipeline.get(names.REBUILD) == self._token.encode()
            if not mine or (final and server_life(self._client) != self._life):
                detail = (
                    "the online store was emptied, restarted or exchanged during the rebuild, or the rebuild stood "
                    "still for too long: what was live still is; run it again"
                )
                raise SnowmeltError(Reason.UNAVAILABLE, detail)
            pipeline.multi()
            add(pipeline)

        with redis_errors():
            self._client.transaction(bound, names.REBUILD)

    def switch(self, generation: str) -> None:
        """Makes the generation the live one. Raises as ``write`` does."""
        self.write(lambda pipeline: self._generations.point(pipeline, generation), final=True)

    def remove_before(self, generation: str, progress: Callable[[int, int], None]) -> int:
        """Removes the keys of all generations of lower numbers that are not live; returns how many they were.

        Raises:
            SnowmeltError: UNAVAILABLE, also where the claim was lost.
        """
        live, removed, looked, cursor = self._generations.current(), 0, 0, 0
        with redis_errors():
            total = self._client.dbsize()
            while True:
                cursor, keys = self._client.scan(cursor, match=f"{{{self._tenant}/*}}/*", count=STEP_KEYS)
                old = [
                    k for k in keys if isinstance(k, bytes) and self._is_old(names.generation_of(k), generation, live)
                ]
                removed += self._removed(old)
                looked += STEP_KEYS
                progress(min(looked, total), total)
                if cursor == 0:
                    progress(total, total)
                    return removed

    def _is_old(self, found: str, generation: str, live: str | None) -> bool:
        return found != live and number_of(found) < number_of(generation)

    def _removed(self, keys: Sequence[bytes]) -> int:
        removed = 0
        for start in range(0, len(keys), STEP_KEYS):
            count = int(self._unlink(keys=[names.REBUILD, *keys[start : start + STEP_KEYS]], args=[self._token]))
            if count < 0:
                raise SnowmeltError(Reason.UNAVAILABLE, "another rebuild has begun: old keys are left to it")
            removed += count
        return removed

    def _renew(self) -> None:
        while not self._done.wait(RENEW_S):
            try:
                if self._client.get(names.REBUILD) == self._token.encode():
                    self._client.expire(names.REBUILD, CLAIM_S)
            except RedisError:
                continue  # the switch finds out
