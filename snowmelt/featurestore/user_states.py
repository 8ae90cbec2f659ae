"""A user's packed state in one round trip, for the gateway."""

import asyncio

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import entity_bucket
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.featurestore import names
from snowmelt.featurestore.connection import redis_errors
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime.config import ConfigError

PROFILE_VIEW = "user_profile"
SEEN_VIEW = "user_seen"
CONNECTIONS_MAX = 64


class AsyncUserStates:
    """Reads user states of the live generation; each answer carries the pointer, so that a switch costs one read more.

    A call takes at most ``timeout_s`` where Redis hangs, and a connection that Redis closed is made anew once.
    """

    def __init__(self, url: str, views: LiveViews, timeout_s: float = 0.25) -> None:
        self._views = views
        self._timeout_s = timeout_s
        self._live = (b"", views.current.hash)
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS_MAX,
                timeout=timeout_s,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigError(f"SNOWMELT_REDIS_URL: {error}") from None
        self._client: Redis = Redis.from_pool(pool)

    async def read(self, tenant: str, entity: str) -> PackedUserState:
        """The state of a user or a session (``session_entity``); ``known`` is false where there is none.

        Raises:
            SnowmeltError: UNAVAILABLE where Redis does not answer in time; FEATURES_MISMATCH where other views
                than those on disk wrote the live generation.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                with redis_errors():
                    return await self._read(tenant, entity)
        except TimeoutError:
            raise SnowmeltError(Reason.UNAVAILABLE, "the online store did not answer in time") from None

    async def _read(self, tenant: str, entity: str) -> PackedUserState:
        bucket = entity_bucket(tenant, entity)
        while True:
            generation, views_hash = self._live
            prefixes = (names.state_prefix(tenant, bucket, generation.decode(), v) for v in (PROFILE_VIEW, SEEN_VIEW))
            keys = [names.pointer_copy(tenant, bucket), *(prefix + entity for prefix in prefixes)]
            live, profile, seen = (_bytes(value) for value in await self._client.mget(keys))
            if not live:  # nothing was ever written
                return PackedUserState(entity, views_hash=views_hash)
            if live == generation:
                return PackedUserState(entity, profile, seen, views_hash)
            self._live = (live, self._views.of_generation(live.decode()).hash)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _bytes(value: bytes | str | None) -> bytes:
    return value if isinstance(value, bytes) else b""
