"""The whole service over a real Redis: a new item, a withdrawal, a change of popularity, without a restart."""

import asyncio
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from services.retrieval.config import RetrievalSettings
from services.retrieval.server import Retrieval, running
from snowmelt.api.events.v1.events_pb2 import CatalogChange, Event, ItemUpsert, ItemWithdrawal
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.features.defaults import default_views
from snowmelt.features.feature_list import FeatureList
from snowmelt.features.rows import Rows
from snowmelt.featurestore.store import StateStore
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.trees import TreeParams, Trees
from snowmelt.releases import Origin, ReleaseStore
from snowmelt.retrieval import RetrievalTables
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from tests.fixtures.writes import fences_after, one_range
from tests.retrieval import shop

VIEWS = default_views()
DEADLINE_S = 5.0
LOADED_DEADLINE_S = 60.0
"""A release is first opened by a process of its own, which takes its time to start."""

pytestmark = pytest.mark.redis


class Store:
    """Writes to the online store as the feature lane does."""

    def __init__(self, url: str) -> None:
        self.store = StateStore(url, VIEWS)
        self.writes = 0

    def apply(self, rows: Rows) -> None:
        deltas: dict[int, list[tuple[int, str, bytes]]] = {}
        for place, view in enumerate(VIEWS.views.values()):
            folded = view.fold(rows)
            for entity, state in zip(folded.entities, folded.states, strict=True):
                deltas.setdefault(entity_bucket(DEFAULT_TENANT, entity), []).append((place, entity, state))
        for bucket, states in deltas.items():
            self.writes += 1
            assert fences_after(self.store, one_range(bucket, "t", f"{rows.topic}-{self.writes}", 0, 0, 1, states)) == [
                1
            ]

    def change(self, *changes: CatalogChange) -> None:
        self.apply(Rows.from_catalog(changes, [c.SerializeToString() for c in changes]))

    def upsert(self, item_id: str, title: str, age_days: float) -> None:
        then = int(shop.NOW_MS - age_days * DAY_MS)
        self.change(
            CatalogChange(
                upsert=ItemUpsert(
                    tenant=DEFAULT_TENANT, item_id=item_id, title=title, categories=[title.rsplit(maxsplit=1)[-1]],
                    event_time_ms=then, available_from_ms=then,
                )
            )
        )  # fmt: skip

    def bought(self, item_id: str, time_ms: int) -> None:
        event = Event(
            event_id="e", tenant=DEFAULT_TENANT, user_id="u", item_id=item_id, type="purchase", event_time_ms=time_ms
        )
        self.apply(Rows.from_events([event], VIEWS))

    def withdraw(self, item_id: str) -> None:
        gone = ItemWithdrawal(tenant=DEFAULT_TENANT, item_id=item_id, event_time_ms=shop.NOW_MS)
        self.change(CatalogChange(withdrawal=gone))


TILES = itertools.count()


def next_tile(as_of_ms: int) -> int:
    """An instant of another tile each time, so that popularity is counted anew."""
    return as_of_ms + 10_000 * next(TILES)


async def until(reached: Callable[[], Any], within_s: float = DEADLINE_S) -> Any:
    deadline = time.monotonic() + within_s
    while True:
        if (value := await reached()) or time.monotonic() > deadline:
            return value
        await asyncio.sleep(0.05)


def test_the_service_follows_redis(tables: RetrievalTables, redis_url: str, tmp_path: Path) -> None:
    store = Store(redis_url)
    content = shop.catalogue()
    for number, (item_id, title) in enumerate(zip(content.ids, content.titles, strict=True)):
        store.upsert(item_id, title, 100.0 + number)
    VIEWS.dump(str(tmp_path / "views.json"))
    chosen = {"address": "127.0.0.1:0", "ops_address": "127.0.0.1:0", "redis_url": redis_url}
    settings = RetrievalSettings(state_dir=tmp_path, **chosen)

    async def story() -> None:
        async with running(settings) as service:
            assert ready(service) == (503, True)
            release_id = publish(ReleaseStore(settings.releases_url), tables)
            remote = Remote(service.address, Tokens.load_or_create(settings.tokens_path).of(Role.SERVICE))
            stub: Any = retrieval_pb2_grpc.RetrievalServiceStub(remote.channel)

            async def loaded() -> bool:
                state = await remote.call(stub.GetLoadedReleases, retrieval_pb2.GetLoadedReleasesRequest(), 4.0)
                return (list(state.release_ids), state.items) == ([release_id], 40)

            async def ranked(source: str, as_of_ms: int = shop.NOW_MS) -> list[int]:
                question = retrieval_pb2.RetrieveRequest(
                    tenant=DEFAULT_TENANT, limit=50, as_of_ms=as_of_ms, release_id=release_id,
                    user=retrieval_pb2.UserState(entity="nobody", views_hash=VIEWS.hash),
                )  # fmt: skip
                found = (await remote.call(stub.Retrieve, question, 4.0)).candidates
                ranks = np.frombuffer(found.ranks, "<u2").reshape(-1, len(found.sources))
                mine = ranks[:, list(found.sources).index(source)]
                keys = np.frombuffer(found.item_keys, "<u8")
                return [int(keys[place]) for place in np.argsort(mine) if mine[place]]

            assert await until(loaded, LOADED_DEADLINE_S)
            assert ready(service) == (200, False)
            assert await ranked("popularity_7d") == []

            store.upsert("fresh", "violet mug", 0.0)
            fresh = int(shop.keys("fresh")[0])
            assert await until(lambda: holds(ranked("new_items"), lambda found: found[0] == fresh))
            store.withdraw("fresh")
            assert await until(lambda: holds(ranked("new_items"), lambda found: fresh not in found))
            store.bought("i5", shop.NOW_MS)
            later_ms = shop.NOW_MS + 60_000
            chosen_most = shop.keys("i5").tolist()
            assert await until(lambda: holds(ranked("popularity_7d", next_tile(later_ms)), chosen_most.__eq__))
            await remote.close()

    asyncio.run(story())


async def holds(work: Any, check: Callable[[list[int]], bool]) -> bool:
    return check(await work)


def ready(service: Retrieval) -> tuple[int, bool]:
    answer = httpx.get(f"http://{service.ops_address}/readyz")
    return answer.status_code, bool(answer.json()["reasons"])


def publish(store: ReleaseStore, tables: RetrievalTables) -> str:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(200, 2)).astype(np.float32)
    features = FeatureList(("a", "b"))
    labels = (matrix[:, 0] > 0).astype(np.int32)
    trees = Trees.train(matrix, labels, np.full(4, 50), TreeParams(rounds=3, min_data_in_leaf=5), features.names)

    def fill(folder: Path) -> None:
        RankerArtefact(trees, features, matrix[:10]).save(folder / "ranker")
        tables.save(folder / "retrieval")

    release_id = store.publish(fill, Origin(shop.NOW_MS, "default", {}, 0, features.hash, VIEWS.hash, "0.1.0"))
    store.activate(release_id)
    return release_id
