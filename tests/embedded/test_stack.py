"""What the parts of the one-command mode are asked before they count as ready."""

import os
from collections.abc import Callable

import pytest
import redis

from snowmelt.chaos.rig import free_port
from snowmelt.embedded.stack import _redis_answers
from tests.fixtures.redis import RedisServer


@pytest.mark.redis
def test_anothers_redis_at_the_port_is_not_taken_for_ours(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    with redis.Redis.from_url(server.url, socket_timeout=5.0) as client:
        pid = client.info("server")["process_id"]
    assert _redis_answers(server.port, pid)
    assert not _redis_answers(server.port, os.getpid())
    assert not _redis_answers(free_port(), pid)
