"""A running ranker goes through a rebuild with other views on a real Redis, without a restart."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ranker.config import RankerSettings
from services.ranker.server import running
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.featurestore.generations import generation_name
from snowmelt.releases import ReleaseStore
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from tests.featurestore.test_item_replica import ITEMS, Shop
from tests.fixtures.redis import RedisServer
from tests.fixtures.views import ADDED, with_a_feature
from tests.ranking.house import Items
from tests.ranking.test_service import VIEWS, items, publish, request

__all__ = ["items"]
pytestmark = pytest.mark.redis
DEADLINE_S = 60.0
"""A release is first opened by a process of its own, which takes its time to start."""


async def until(reached: Callable[[], Awaitable[Any]]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await reached():
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.05)


def test_the_release_that_is_trained_after_a_rebuild_with_other_views_is_taken(
    redis_server: Callable[[], RedisServer], items: Items, tmp_path: Path
) -> None:
    server, other = redis_server(), with_a_feature()
    VIEWS.dump(tmp_path / "views.json")
    settings = RankerSettings(
        state_dir=tmp_path,
        redis_url=server.url,
        address="127.0.0.1:0",
        ops_address="127.0.0.1:0",
        release_poll_s=0.1,
        replica_age_ms_max=1000,
    )
    store = ReleaseStore(settings.releases_url)
    Shop(server.url).upsert(ITEMS, "one")
    old = publish(store, items, VIEWS)

    async def story() -> None:
        async with running(settings) as ranker:
            remote = Remote(ranker.address, Tokens.load_or_create(settings.tokens_path).of(Role.SERVICE))
            stub: Any = ranker_pb2_grpc.RankerServiceStub(remote.channel)

            async def says(status: int, words: str = "") -> bool:
                answer = await asyncio.to_thread(httpx.get, f"http://{ranker.ops_address}/readyz")
                return answer.status_code == status and words in answer.text

            async def loaded() -> list[str]:
                answer = await remote.call(stub.GetLoadedReleases, ranker_pb2.GetLoadedReleasesRequest(), 5.0)
                return list(answer.release_ids)

            await until(lambda: says(200))
            assert len((await remote.call(stub.Rank, request(old), 5.0)).scores) == 16
            other.dump(tmp_path / "views.json")
            rebuilt = Shop(server.url, generation_name(2, other.hash), other)
            rebuilt.upsert(ITEMS, "rebuilt")
            rebuilt.store.generations.switch(rebuilt.store.generation)
            await until(lambda: says(503, "snowmelt train"))
            assert await loaded() == []
            with pytest.raises(SnowmeltError) as refused:
                await remote.call(stub.Rank, request(old, other), 5.0)
            assert refused.value.reason is Reason.RELEASE_NOT_LOADED
            new = publish(store, items, other)
            await until(lambda: says(200))
            assert await loaded() == [new]
            asked = request(new, other)
            asked.explain = 1
            ranked = await remote.call(stub.Rank, asked, 5.0)
            assert f"item.{ADDED}" in {part.feature for part in ranked.explanations[0].contributions}
            server.kill()
            await until(lambda: says(503, "ms behind"))
            await remote.close()

    asyncio.run(story())
