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
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.generations import generation_name
from snowmelt.releases import ReleaseStore, watcher
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from snowmelt.runtime.metrics import RELEASES_REFUSED
from tests.featurestore.test_item_replica import ITEMS, Shop
from tests.fixtures.redis import RedisServer
from tests.fixtures.views import ADDED, with_a_feature, with_a_wider_window
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


def refused() -> float:
    return float(RELEASES_REFUSED.labels("ranker")._value.get())


def rebuild(url: str, number: int, views: CompiledViews, folder: Path) -> None:
    """What ``feast apply`` and ``snowmelt rebuild online`` come to."""
    views.dump(folder / "views.json")
    rebuilt = Shop(url, generation_name(number, views.hash), views)
    rebuilt.upsert(ITEMS, f"rebuilt {number}")
    rebuilt.store.generations.switch(rebuilt.store.generation)


def test_the_release_that_is_trained_for_a_rebuild_with_other_views_is_taken(
    redis_server: Callable[[], RedisServer], items: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "RETRY_S", 3600.0)
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

            async def loads(release_id: str) -> bool:
                return await loaded() == [release_id]

            await until(lambda: says(200))
            assert len((await remote.call(stub.Rank, request(old), 5.0)).scores) == 16
            # What is trained before the switch waits for it.
            refusals = refused()
            new = publish(store, items, other)
            await until(lambda: asyncio.to_thread(lambda: refused() > refusals))
            assert await loaded() == [old]
            rebuild(server.url, 2, other, tmp_path)
            await until(lambda: loads(new))
            await until(lambda: says(200))
            asked = request(new, other)
            asked.explain = 1
            ranked = await remote.call(stub.Rank, asked, 5.0)
            assert f"item.{ADDED}" in {part.feature for part in ranked.explanations[0].contributions}
            # Where none is trained, there is none.
            rebuild(server.url, 3, with_a_wider_window(), tmp_path)
            await until(lambda: says(503, "snowmelt train"))
            assert await loaded() == []
            with pytest.raises(SnowmeltError) as caught:
                await remote.call(stub.Rank, request(new), 5.0)
            assert caught.value.reason is Reason.RELEASE_NOT_LOADED
            server.kill()
            await until(lambda: says(503, "ms behind"))
            await remote.close()

    asyncio.run(story())
