"""One gateway a module on real Redis and the embedded broker; each test finds its stand-ins well."""

from collections.abc import Iterator

import pytest
import redis

from tests.fixtures.embedded_broker import embedded_broker
from tests.fixtures.redis import RedisServer
from tests.gateway.house import ITEMS, Behaviour, House, eventually


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The bootstrap address of an embedded broker."""
    with embedded_broker(4) as said:
        yield said["bootstrap"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer, broker: str) -> Iterator[House]:
    """A gateway with a catalogue of twelve items that all its parts have read."""
    with redis.Redis.from_url(shared_redis.url, socket_timeout=5.0) as client:
        client.flushall()
    house = House(tmp_path_factory.mktemp("gateway"), shared_redis.url, broker, embedded=True)
    house.upsert(ITEMS)
    with house.client() as client_:
        eventually(lambda: len(client_.recommend("nobody", k=20).items) == len(ITEMS))
    yield house
    house.close()


@pytest.fixture
def house(standing: House) -> House:
    """The module's gateway, with both stand-ins as they were at first."""
    for behaviour in (standing.retrieval, standing.ranker):
        behaviour.__dict__.update(Behaviour().__dict__)
    with standing.client() as client:
        eventually(lambda: client.recommend("nobody", k=1).rung == "full")
    return standing
