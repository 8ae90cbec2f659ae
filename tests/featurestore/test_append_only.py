"""What a crash tore off a transaction does not come back at the next; a Redis that forbids the mending is told of."""

import logging
import os
import time
from collections.abc import Callable

import pytest

from snowmelt.featurestore.append_only import AppendOnlyFile
from snowmelt.featurestore.connection import connect
from snowmelt.featurestore.store import StateStore
from tests.featurestore.test_store import VIEWS, state, tiles, write
from tests.fixtures.redis import RedisServer
from tests.fixtures.writes import fences_after

WITHIN_LAST_COMMAND_BYTES = 20


def test_a_torn_transaction_stays_away_after_a_second_crash(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    store, one = StateStore(server.url, VIEWS), state(tiles((5, 1.0)), b"")
    store.apply([write("a", 0, 1, one)])
    server.until_written()
    server.kill()
    os.truncate(file := server.folder / "appendonly.aof", file.stat().st_size - WITHIN_LAST_COMMAND_BYTES)
    server.start()
    assert store.read("item_stats", ["a"]) == [None]
    store.append_only_file.renew()
    while (known := store.client.info("persistence"))["aof_rewrite_in_progress"] or known["aof_rewrite_scheduled"]:
        time.sleep(0.01)
    store.apply([write("b", 0, 1, one)])
    server.until_written()
    server.kill()
    server.start()
    assert store.read("item_stats", ["a", "b"]) == [None, one]
    assert fences_after(store, write("a", 0, 1, one)) == [1]
    assert store.read("item_stats", ["a"]) == [one]


def test_the_file_is_written_anew_once_a_life_whoever_sees_it(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    for life in range(2):
        files = [AppendOnlyFile(connect(server.url)) for _ in range(2)]
        for file in (*files, *files):
            file.renew()
        client = connect(server.url)
        assert client.info("commandstats")["cmdstat_bgrewriteaof"]["calls"] == 1, life
        server.kill()
        server.start()


def test_a_redis_that_forbids_it_is_told_once(
    redis_server: Callable[[], RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = redis_server()
    connect(server.url).execute_command("ACL", "SETUSER", "plain", "on", "nopass", "~*", "+@all", "-bgrewriteaof")
    file = AppendOnlyFile(connect(server.url.replace("://", "://plain:x@")))
    with caplog.at_level(logging.WARNING):
        file.renew()
        file.renew()
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "Redis does not write its append-only file anew"
    ]
