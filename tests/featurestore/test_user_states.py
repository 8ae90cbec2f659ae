"""Reading a user's packed state, while generations change and Redis fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.features.defaults import default_views
from snowmelt.featurestore.generations import generation_name
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.store import StateStore
from snowmelt.featurestore.user_states import AsyncUserStates
from tests.fixtures.redis import RedisServer
from tests.fixtures.views import with_a_feature
from tests.fixtures.writes import fences_after, one_range


def _views(sign: str) -> SimpleNamespace:
    view = SimpleNamespace(sections=())
    return SimpleNamespace(hash=sign * 64, views={"user_profile": view, "user_seen": view})


VIEWS = _views("a")
pytestmark = pytest.mark.anyio


def put(store: StateStore, entity: str, profile: bytes, seen: bytes) -> None:
    bucket = entity_bucket(DEFAULT_TENANT, entity)
    deltas = [(0, entity, profile), (1, entity, seen)]
    assert fences_after(store, one_range(bucket, "inc", "t", 0, 0, 1, deltas)) == [1]


async def test_both_views_come_in_one_answer(redis_url: str) -> None:
    store = StateStore(redis_url, VIEWS)
    put(store, "ann", b"profile", b"seen")
    states = AsyncUserStates(redis_url, LiveViews(VIEWS))
    ann, bob = await states.read(DEFAULT_TENANT, "ann"), await states.read(DEFAULT_TENANT, "bob")
    assert (ann.profile, ann.seen, ann.views_hash, ann.known) == (b"profile", b"seen", VIEWS.hash, True)
    assert not bob.known
    calls = store.client.info("commandstats")["cmdstat_mget"]["calls"]
    await states.read(DEFAULT_TENANT, "ann")
    assert store.client.info("commandstats")["cmdstat_mget"]["calls"] == calls + 1
    await states.close()


async def test_the_live_generation_is_followed(redis_url: str) -> None:
    put(StateStore(redis_url, VIEWS), "ann", b"old", b"")
    states = AsyncUserStates(redis_url, LiveViews(VIEWS))
    assert (await states.read(DEFAULT_TENANT, "ann")).profile == b"old"
    second = StateStore(redis_url, VIEWS, generation_name(2, VIEWS.hash))
    put(second, "ann", b"new", b"")
    assert (await states.read(DEFAULT_TENANT, "ann")).profile == b"old"
    second.generations.switch(second.generation)
    assert (await states.read(DEFAULT_TENANT, "ann")).profile == b"new"
    await states.close()


async def test_state_of_other_views_is_refused_until_they_are_on_disk(redis_url: str, tmp_path: Path) -> None:
    path, other = tmp_path / "views.json", with_a_feature()
    default_views().dump(path)
    StateStore(redis_url, other).generations.ensure(other.hash)
    states = AsyncUserStates(redis_url, LiveViews.load(str(path)))
    with pytest.raises(SnowmeltError) as raised:
        await states.read(DEFAULT_TENANT, "ann")
    assert raised.value.reason is Reason.FEATURES_MISMATCH
    other.dump(path)
    assert (await states.read(DEFAULT_TENANT, "ann")).views_hash == other.hash
    await states.close()


async def test_a_redis_that_hangs_costs_the_budget_and_no_more(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    put(StateStore(server.url, VIEWS), "ann", b"x", b"")
    states = AsyncUserStates(server.url, LiveViews(VIEWS), timeout_s=0.5)
    await states.read(DEFAULT_TENANT, "ann")
    server.pause()
    start = time.monotonic()
    answers = await asyncio.gather(*(states.read(DEFAULT_TENANT, "ann") for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - start < 5.0  # one after the other would be ten
    assert {a.reason for a in answers if isinstance(a, SnowmeltError)} == {Reason.UNAVAILABLE}
    assert all(isinstance(a, SnowmeltError) for a in answers)
    server.resume()
    assert (await states.read(DEFAULT_TENANT, "ann")).profile == b"x"
    await states.close()


async def test_a_redis_that_came_back_is_read_at_once(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    put(StateStore(server.url, VIEWS), "ann", b"x", b"")
    states = AsyncUserStates(server.url, LiveViews(VIEWS))
    await states.read(DEFAULT_TENANT, "ann")
    server.stop()
    with pytest.raises(SnowmeltError):
        await states.read(DEFAULT_TENANT, "ann")
    server.start()
    assert (await states.read(DEFAULT_TENANT, "ann")).profile == b"x"
    await states.close()
