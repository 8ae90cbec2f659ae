"""The service's door behind the runtime's real server: real releases on disk, state, errors, deadlines, spans."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from services.retrieval.adapters.releases import WatchedReleases
from services.retrieval.config import RetrievalSettings
from services.retrieval.policies import POLICIES
from services.retrieval.retrieve import CandidateFinder
from services.retrieval.servicer import RetrievalServicer
from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import word_keys
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.features.user import finish_user, with_events
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.releases import Origin, ReleaseStore
from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.runtime import telemetry
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from snowmelt.runtime.grpc_server import Servicer, serve
from snowmelt.runtime.work import Workbench
from tests.fixtures.views import with_a_feature
from tests.retrieval import shop

VIEWS = default_views()


class SlowItems(shop.PlainItems):
    """12 ms behind, and takes its time for counting."""

    late_s = 0.0
    behind_ms: float | None = 12.0

    def age_ms(self) -> float | None:
        return self.behind_ms

    def statistics(self, keys: Any, as_of_ms: int) -> Any:
        time.sleep(self.late_s)
        return super().statistics(keys, as_of_ms)


@dataclass
class House:
    """A door that answers, and what stands behind it."""

    remote: Remote
    stub: Any
    releases: WatchedReleases
    store: ReleaseStore
    items: SlowItems
    release_ids: list[str]

    async def ask(self, timeout_s: float = 4.0, **change: Any) -> retrieval_pb2.RetrieveResponse:
        fields: dict[str, Any] = {
            "tenant": "default",
            "user": message(packed()),
            "limit": 20,
            "as_of_ms": shop.NOW_MS,
            "release_id": self.release_ids[-1],
        }
        request = retrieval_pb2.RetrieveRequest(**(fields | change))
        return await self.remote.call(self.stub.Retrieve, request, timeout_s)


@contextlib.asynccontextmanager
async def house(tables: RetrievalTables, shopping: Rows, folder: Path, releases: int = 1) -> AsyncIterator[House]:
    VIEWS.dump(str(folder / "views.json"))
    settings = RetrievalSettings(state_dir=folder, address="127.0.0.1:0")
    store, items = ReleaseStore(settings.releases_url), SlowItems(shop.catalogue(), shopping)
    made = [store.publish(lambda to: tables.save(to / "retrieval"), origin(n)) for n in range(releases)]
    watched = WatchedReleases(store, items, probe=lambda _: None)
    for release_id in made:
        store.activate(release_id)
        watched._watcher.poll()
    with ThreadPoolExecutor(1) as executor:
        finder = CandidateFinder(watched, items, LiveViews.load(settings.views_path), Workbench(executor))
        door = Servicer(retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server, RetrievalServicer(finder))
        server = await serve([door], POLICIES, settings.address, settings)
        remote = Remote(server.address, Tokens.load_or_create(settings.tokens_path).of(Role.SERVICE))
        stub: Any = retrieval_pb2_grpc.RetrievalServiceStub(remote.channel)
        yield House(remote, stub, watched, store, items, made)
        await remote.close()
        await server.stop(0.1)


def origin(number: int) -> Origin:
    return Origin(shop.NOW_MS + number, "default", {}, 0, "f", VIEWS.hash, "0.1.0")


def packed() -> PackedUserState:
    events = [
        Event(
            event_id=f"e{n}", tenant="default", user_id="u", item_id=item, type="purchase",
            event_time_ms=shop.NOW_MS - (n + 1) * DAY_MS, categories=["mug"], price=5.0,
        )
        for n, item in enumerate(("i11", "i12", "i3"))
    ]  # fmt: skip
    return with_events(VIEWS, PackedUserState("u", views_hash=VIEWS.hash), events)


def message(user: PackedUserState) -> retrieval_pb2.UserState:
    return retrieval_pb2.UserState(entity=user.entity, profile=user.profile, seen=user.seen, views_hash=user.views_hash)


@pytest.fixture
def run(tables: RetrievalTables, shopping: Rows, tmp_path: Path) -> Callable[..., None]:
    def go(test: Callable[[House], Any], releases: int = 1) -> None:
        async def scene() -> None:
            async with house(tables, shopping, tmp_path, releases) as door:
                await test(door)

        asyncio.run(scene())

    return go


def test_the_door_answers_what_the_library_does(run: Callable[..., None], tables: RetrievalTables) -> None:
    async def test(door: House) -> None:
        answer = await door.ask(exclude_item_ids=["i13"], categories=["mug", "lamp"])
        query = RetrievalQuery(
            finish_user(VIEWS, packed(), shop.NOW_MS), 20, shop.NOW_MS, shop.keys("i13"),
            word_keys(["mug", "lamp"]),
        )  # fmt: skip
        found, _ = Retriever(tables, door.items).retrieve(query)
        assert np.frombuffer(answer.candidates.item_keys, "<u8").tolist() == found.keys.tolist()
        assert tuple(answer.candidates.sources) == found.sources
        assert answer.candidates.scores == found.scores.tobytes()
        assert answer.candidates.ranks == found.ranks.tobytes()
        assert answer.release_id == door.release_ids[0]
        assert answer.replica_age_ms == 12.0
        assert answer.stages[-1].name == "retrieval.merge"
        assert set(shop.keys("i3", "i11", "i12", "i13").tolist()).isdisjoint(found.keys.tolist())

    run(test)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"release_id": "another"}, Reason.RELEASE_NOT_LOADED),
        ({"user": retrieval_pb2.UserState(entity="u", profile=b"x", views_hash="other")}, Reason.FEATURES_MISMATCH),
        ({"limit": 0}, Reason.INVALID_FIELD),
        ({"tenant": "No!"}, Reason.INVALID_FIELD),
        ({"as_of_ms": 5}, Reason.INVALID_FIELD),
    ],
)
def test_errors(run: Callable[..., None], change: dict[str, Any], reason: Reason) -> None:
    async def test(door: House) -> None:
        with pytest.raises(SnowmeltError) as caught:
            await door.ask(**change)
        assert caught.value.reason is reason

    run(test)


def test_what_fails_on_the_way_is_counted(run: Callable[..., None]) -> None:
    def errors() -> float:
        return REGISTRY.get_sample_value("snowmelt_stage_errors_total", {"stage": "retrieval.retrieve"}) or 0

    async def test(door: House) -> None:
        before = errors()
        await door.ask()
        assert errors() == before
        damaged = retrieval_pb2.UserState(entity="u", profile=b"\0\0", views_hash=VIEWS.hash)
        with pytest.raises(SnowmeltError):
            await door.ask(user=damaged)
        assert errors() == before + 1

    run(test)


def test_a_new_user_is_answered(run: Callable[..., None]) -> None:
    async def test(door: House) -> None:
        answer = await door.ask(user=retrieval_pb2.UserState(entity="nobody", views_hash=VIEWS.hash))
        assert len(answer.candidates.item_keys) == 8 * 20

    run(test)


def test_two_releases_are_kept_and_pinned(run: Callable[..., None]) -> None:
    async def test(door: House) -> None:
        request = retrieval_pb2.GetLoadedReleasesRequest()
        loaded = await door.remote.call(door.stub.GetLoadedReleases, request, 4.0)
        assert list(loaded.release_ids) == [door.release_ids[2], door.release_ids[1]]
        assert (loaded.items, loaded.replica_age_ms) == (40, 12.0)
        for release_id in door.release_ids[1:]:
            assert (await door.ask(release_id=release_id)).release_id == release_id
        with pytest.raises(SnowmeltError) as caught:
            await door.ask(release_id=door.release_ids[0])
        assert caught.value.reason is Reason.RELEASE_NOT_LOADED

    run(test, releases=3)


def test_before_the_items_were_read_nothing_can_be_pinned_or_asked(run: Callable[..., None]) -> None:
    async def test(door: House) -> None:
        door.items.behind_ms = None
        request = retrieval_pb2.GetLoadedReleasesRequest()
        assert not (await door.remote.call(door.stub.GetLoadedReleases, request, 4.0)).release_ids
        with pytest.raises(SnowmeltError) as caught:
            await door.ask()
        assert caught.value.reason is Reason.UNAVAILABLE
        door.items.behind_ms = 12.0
        assert (await door.ask()).candidates.item_keys

    run(test)


def test_user_state_of_other_views_is_read_when_these_are_on_disk(run: Callable[..., None], tmp_path: Path) -> None:
    other = with_a_feature()
    user = retrieval_pb2.UserState(entity="u", views_hash=other.hash)

    async def test(door: House) -> None:
        with pytest.raises(SnowmeltError) as caught:
            await door.ask(user=user)
        assert caught.value.reason is Reason.FEATURES_MISMATCH
        other.dump(tmp_path / "views.json")
        assert (await door.ask(user=user)).candidates.item_keys
        assert (await door.ask()).candidates.item_keys

    run(test)


def test_a_late_answer_is_a_deadline_and_the_next_one_comes(run: Callable[..., None]) -> None:
    async def test(door: House) -> None:
        door.items.late_s = 0.5
        with pytest.raises(SnowmeltError) as caught:
            await door.ask(timeout_s=0.1)
        assert caught.value.reason is Reason.DEADLINE_EXCEEDED
        door.items.late_s = 0.0
        assert len((await door.ask()).candidates.item_keys) == 8 * 20

    run(test)


def test_new_content_is_found_through_the_door(run: Callable[..., None]) -> None:
    async def test(door: House) -> None:
        door.items.content = shop.with_item(door.items.content, "fresh", "violet mug")
        door.releases.refresh()
        answer = await door.ask()
        assert shop.keys("fresh")[0] in np.frombuffer(answer.candidates.item_keys, "<u8")

    run(test)


def test_spans_of_one_request_form_a_tree(run: Callable[..., None]) -> None:
    spans = InMemorySpanExporter()
    telemetry.setup("retrieval", RetrievalSettings())
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(spans))

    async def test(door: House) -> None:
        spans.clear()
        await door.ask()

    run(test)
    spans.shutdown()
    by_id = {s.context.span_id: s.name for s in spans.get_finished_spans() if s.context}
    edges = {(by_id.get(s.parent.span_id, "") if s.parent else "", s.name) for s in spans.get_finished_spans()}
    assert ("Retrieve", "retrieval.retrieve") in edges
    for name in ("source.vectors", "source.item_to_item", "source.new_items", "merge"):
        assert ("retrieval.retrieve", f"retrieval.{name}") in edges
