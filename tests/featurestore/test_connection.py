"""What the store asks of its Redis at the start, and a write whose answer is lost."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import redis

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS
from snowmelt.features.defaults import default_views
from snowmelt.featurestore.connection import check_server
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.store import Counters, StateStore
from snowmelt.runtime.config import ConfigError
from tests.fixtures.redis import RedisServer
from tests.fixtures.writes import fences_after, one_range

VIEWS = default_views()


@pytest.fixture
def server(redis_server: Callable[[], RedisServer]) -> RedisServer:
    return redis_server()


@contextmanager
def client_of(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, socket_timeout=5.0) as client:
        yield client


def test_a_redis_as_it_should_be_is_taken_without_a_word(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    StateStore(server.url, VIEWS).check()
    assert not caplog.records


def test_a_redis_that_evicts_is_refused_and_the_command_mends_it(server: RedisServer) -> None:
    with client_of(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(ConfigError) as refused:
            StateStore(server.url, VIEWS).check()
        said = str(refused.value)
        assert f"-p {server.port} CONFIG SET maxmemory-policy noeviction" in said
        client.execute_command(*said[said.index("CONFIG SET") : said.index(", and")].split())
    StateStore(server.url, VIEWS).check()


def test_a_redis_without_a_file_is_taken_with_a_warning(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with client_of(server.url) as client:
        client.config_set("appendonly", "no")
    StateStore(server.url, VIEWS).check()
    assert "CONFIG SET appendonly yes" in caplog.text


def test_a_managed_redis_that_forbids_config_is_taken(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    url = guest(server, "-config")
    with client_of(url) as client:
        check_server(client, url)
    assert not caplog.text


def test_one_that_forbids_info_is_refused_with_what_allows_it(server: RedisServer) -> None:
    url = guest(server, "-info")
    with client_of(url) as client, pytest.raises(ConfigError) as refused:
        check_server(client, url)
    assert "word" not in str(refused.value)
    with client_of(server.url) as client:
        client.execute_command(*str(refused.value).partition("run: ")[2].split())
    with client_of(url) as client:
        check_server(client, url)


def guest(server: RedisServer, forbidden: str) -> str:
    """The address for a user to whom a command is forbidden."""
    with client_of(server.url) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">word", "~*", "+@all", forbidden)
    return server.url.replace("redis://", "redis://guest:word@")


class Cut:
    """A relay before Redis that can swallow the next answer and break the connection instead."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.swallow = threading.Event()
        self.swallowed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for source, target, answers in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._carry, args=(source, target, answers), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if answers and self.swallow.is_set():
                    self.swallow.clear()
                    self.swallowed += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def test_a_write_whose_answer_was_lost_is_in_once(server: RedisServer) -> None:
    relay = Cut(server.port)
    store = StateStore(f"redis://127.0.0.1:{relay.port}/0", VIEWS)
    place = Partition("one", "snowmelt.events", 0)
    seen = tuple(VIEWS.views).index("item_stats")
    delta = VIEWS.views["item_stats"].merge(None, None)
    applied = 0
    for round_ in range(5):
        writes = [
            one_range(b, place.incarnation, place.topic, 0, applied, applied + 7, [(seen, f"i{b}", delta)],
                        Counters(7) if b == 0 else Counters())
            for b in range(BUCKETS)
        ]  # fmt: skip
        if round_:
            relay.swallow.set()
        applied += 7
        assert fences_after(store, *writes) == [applied] * BUCKETS
    assert relay.swallowed == 4
    counters = store.fence_table.counters()[place.topic]
    assert counters.applied == applied
    with client_of(server.url) as client:
        sequence = client.get("{default/0}/" + store.generation + "!sequence")
        assert sequence == b"5", "each write was applied once, although it was sent twice"
    relay.close()


def test_a_redis_that_was_demoted_is_left_for_another_connection(
    redis_server: Callable[[], RedisServer],
) -> None:
    """A planned failover demotes the node and leaves it alive; its address may lead elsewhere by now."""
    server, other = redis_server(), redis_server()
    store, write = StateStore(server.url, VIEWS), one_range(0, "inc", "topic", 0, 0, 1)
    assert store.generation
    before = store.client.client_id()
    with client_of(server.url) as client:
        client.replicaof("127.0.0.1", other.port)
        with pytest.raises(SnowmeltError, match="follows another now and takes no writes") as told:
            store.apply([write])
        assert told.value.reason is Reason.UNAVAILABLE
        client.replicaof("NO", "ONE")
    assert store.client.client_id() != before
    assert store.apply([write]) == [[1]]
    server.kill()  # what has just become a replica writes its file anew and does not stop in order meanwhile


def test_a_redis_without_memory_is_said_to_have_none(server: RedisServer) -> None:
    store, write = StateStore(server.url, VIEWS), one_range(0, "inc", "topic", 0, 0, 1)
    assert store.generation
    with client_of(server.url) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(SnowmeltError, match="no memory left: raise Redis's maxmemory") as told:
            store.apply([write])
        assert told.value.reason is Reason.UNAVAILABLE
        client.config_set("maxmemory", 0)
    assert store.apply([write]) == [[1]]
