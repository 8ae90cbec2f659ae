"""Connections to Redis: explicit timeouts, bounded retries, and errors in the house's words."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, NoPermissionError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.retry import Retry

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.config import ConfigError

_LOG = logging.getLogger(__name__)

RETRIES = 4
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 1.0
DEMOTED = "this Redis follows another now and takes no writes: name the one that does in SNOWMELT_REDIS_URL"


def connect(url: str, timeout_s: float = 5.0, retries: int = RETRIES) -> redis.Redis:
    """A client that answers within about ``(retries + 1) * timeout_s``; no connection is made yet.

    Raises:
        ConfigError: the URL is not one of Redis.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=min(timeout_s, 1.0),
            health_check_interval=30,
            retry=Retry(ExponentialBackoff(BACKOFF_MAX_S, BACKOFF_MIN_S), retries),
            retry_on_error=[BusyLoadingError, redis.ConnectionError, redis.TimeoutError],
        )
    except ValueError as error:
        raise ConfigError(f"SNOWMELT_REDIS_URL: {error}") from None


def answers(client: redis.Redis, commands: Callable[[], Iterable[Sequence[str | bytes | int]]]) -> list[Any]:
    """Sends each command while the next is made, then reads all answers; an error among them is an answer, too.

    A pipeline makes and packs all of its commands before it sends the first: the server would have nothing to do for
    that while. Where the connection breaks, ``commands`` is called and all of them are sent again.

    Raises:
        redis.ConnectionError, redis.TimeoutError: after the client's retries.
    """
    pool = client.connection_pool
    connection: Any = pool.get_connection()

    def once() -> list[Any]:
        sent = 0
        for command in commands():
            connection.send_command(*command)
            sent += 1
        return [_answer(connection) for _ in range(sent)]

    try:
        found: list[Any] = connection.retry.call_with_retry(once, lambda _: connection.disconnect())
        return found
    except BaseException:  # answers may be on their way still: nobody else must read them
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns Redis's exceptions into a SnowmeltError that says what to do.

    Raises:
        SnowmeltError: UNAVAILABLE where Redis does not answer, has no memory left or takes no writes; INTERNAL where it
            refuses.
    """
    try:
        yield
    except OutOfMemoryError:
        detail = "the online store has no memory left: raise Redis's maxmemory"
        raise SnowmeltError(Reason.UNAVAILABLE, detail) from None
    except ReadOnlyError:
        raise SnowmeltError(Reason.UNAVAILABLE, DEMOTED) from None
    except (redis.ConnectionError, redis.TimeoutError) as error:
        detail = "the online store does not answer: start Redis or mend SNOWMELT_REDIS_URL"
        raise SnowmeltError(Reason.UNAVAILABLE, detail) from error
    except RedisError as error:
        raise SnowmeltError(Reason.INTERNAL, f"the online store refused: {error}") from error


def server_life(client: redis.Redis) -> tuple[str, str]:
    """This run of the server, and the history that it replicates: another where what was written may be lost."""
    # What stands between may keep either to itself.
    return str(client.info("server").get("run_id")), str(client.info("replication").get("master_replid"))


def check_server(client: redis.Redis, url: str) -> None:
    """Refuses a Redis that may throw state away, and warns of one that keeps none over a restart.

    Everything is asked by INFO: a managed Redis often forbids CONFIG. What INFO does not tell is said and not checked.

    Raises:
        ConfigError: the eviction policy is another than noeviction, or INFO is forbidden; the message holds the command
            that mends it.
        SnowmeltError: UNAVAILABLE.
    """
    known: dict[str, object] = {}
    place = urlsplit(url)
    with redis_errors():
        try:
            known = client.info("memory") | client.info("persistence")
        except NoPermissionError:
            raise ConfigError(
                f"Redis forbids INFO to this user, by which a failover is seen; run: ACL SETUSER {place.username} +info"
            ) from None
    policy, appends = known.get("maxmemory_policy"), known.get("aof_enabled")
    config_set = f"redis-cli -h {place.hostname or '127.0.0.1'} -p {place.port or 6379} CONFIG SET"
    if policy is None or appends is None:
        _LOG.warning(
            "Redis does not say whether it evicts or appends; not checked: it needs maxmemory-policy noeviction and "
            "appendonly yes"
        )
    if policy not in (None, "noeviction"):
        raise ConfigError(
            f"Redis may evict state (maxmemory-policy {policy}); run: {config_set} maxmemory-policy noeviction, "
            "and set it in redis.conf"
        )
    if appends == 0:
        _LOG.warning(
            "Redis keeps no append-only file: when it restarts, its state goes back to the last snapshot or to none, "
            "and the feature lane reads Kafka again from there; run: %s appendonly yes, and set it in redis.conf",
            config_set,
        )
