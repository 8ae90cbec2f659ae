"""The ranker behind its door: a real gRPC server over a real release; what is wrong is said by its reason."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from services.ranker.adapters.releases import FollowedReleases
from services.ranker.config import RankerSettings
from services.ranker.policies import POLICIES
from services.ranker.rank import RankCandidates
from services.ranker.servicer import RankerServicer
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.defaults import default_views
from snowmelt.features.user import finish_user
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.schema import RankingSchema
from snowmelt.ranking.trees import TreeParams, Trees
from snowmelt.releases import Origin, ReleaseStore
from snowmelt.releases.opened import assembler
from snowmelt.retrieval import Retriever
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import Remote
from snowmelt.runtime.grpc_server import Servicer, serve
from snowmelt.runtime.work import Workbench
from tests.fixtures.views import with_a_wider_window
from tests.ranking.house import NOW, Items, candidates
from tests.ranking.tables import small_tables

VIEWS = default_views()
Ask = Callable[[ranker_pb2.RankRequest], Awaitable[ranker_pb2.RankResponse]]


@pytest.fixture(scope="module")
def items() -> Items:
    scalars = [f.name for f in VIEWS.views["item_stats"].features]
    return Items({name: np.arange(5) * (place + 1) for place, name in enumerate(scalars)})


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, items: Items) -> tuple[Path, str]:
    store = ReleaseStore(str(tmp_path_factory.mktemp("releases")))
    return store.root, publish(store, items, VIEWS)


def publish(store: ReleaseStore, items: Items, views: CompiledViews) -> str:
    """A release that was trained on some views, and is active now."""
    tables = small_tables(items.columns())
    features = assembler(views, items, Retriever(tables, items)).features
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(400, len(features))).astype(np.float32)
    labels = (matrix[:, 1] + rng.normal(size=400) > 1).astype(np.int32)
    trees = Trees.train(matrix, labels, np.full(8, 50), TreeParams(rounds=8, min_data_in_leaf=5), features.names)

    def build(folder: Path) -> None:
        RankerArtefact(trees, features, matrix[:20]).save(folder / "ranker")
        tables.save(folder / "retrieval")

    origin = Origin(NOW, "default", {"events": 1}, 0, features.hash, views.values_hash, "0")
    release_id = store.publish(build, origin)
    store.activate(release_id)
    return release_id


async def with_ranker(root: Path, items: Items, tmp_path: Path, talk: Callable[[Ask], Awaitable[None]]) -> None:
    """A ranker for the time of one conversation."""
    settings = RankerSettings(tokens_path=str(tmp_path / "tokens.json"), releases_url=str(root))
    releases = FollowedReleases(settings.releases_url, items, Clock(), 0.1)
    releases._watcher.poll()
    with ThreadPoolExecutor(2) as workers:
        servicer = RankerServicer(RankCandidates(releases, items, Workbench(workers)), releases, items)
        add = ranker_pb2_grpc.add_RankerServiceServicer_to_server
        server = await serve([Servicer(add, servicer)], POLICIES, "127.0.0.1:0", settings)
        remote = Remote(server.address, Tokens.load_or_create(settings.tokens_path).of(Role.SERVICE))
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        try:
            await talk(lambda request: remote.call(stub.Rank, request, 5.0))
            loaded = await remote.call(stub.GetLoadedReleases, ranker_pb2.GetLoadedReleasesRequest(), 5.0)
            assert len(loaded.release_ids) == 1
            assert loaded.items == 5
        finally:
            await remote.close()
            await server.stop(0)


def request(release_id: str, views: CompiledViews = VIEWS) -> ranker_pb2.RankRequest:
    found = candidates()
    return ranker_pb2.RankRequest(
        tenant="default",
        user=retrieval_pb2.UserState(entity="u1", views_hash=views.hash),
        candidates=retrieval_pb2.Candidates(
            item_keys=found.keys.tobytes(),
            sources=found.sources,
            scores=found.scores.tobytes(),
            ranks=found.ranks.tobytes(),
        ),
        as_of_ms=NOW,
        release_id=release_id,
    )


def test_the_door_answers_what_the_library_answers(published: tuple[Path, str], items: Items, tmp_path: Path) -> None:
    root, release_id = published
    store = ReleaseStore(str(root))
    artefact = RankerArtefact.load(store.path(release_id) / "ranker")
    make = assembler(VIEWS, items, Retriever(small_tables(items.columns()), items))
    matrix = make.assemble(finish_user(VIEWS, PackedUserState("u1"), NOW), candidates(), NOW)
    scores = artefact.trees.score(matrix)

    async def talk(ask: Ask) -> None:
        asked = request(release_id)
        asked.explain, asked.return_features = 2, True
        answer = await ask(asked)
        assert answer.release_id == release_id
        assert answer.scores == scores.tobytes()
        assert answer.features == matrix.tobytes()
        assert answer.feature_list_hash == make.features.hash
        assert {stage.name for stage in answer.stages} == {"ranker.assemble", "ranker.score"}
        assert [one.candidate for one in answer.explanations] == np.argsort(-scores, kind="stable")[:2].tolist()
        for one in answer.explanations:
            assert [part.feature for part in one.contributions] == list(make.features)
            total = one.base_score + sum(part.contribution for part in one.contributions)
            assert total == pytest.approx(scores[one.candidate], abs=1e-6)
        plain = await ask(request(release_id))
        assert plain.scores == scores.tobytes()
        assert not plain.explanations
        assert not plain.features

    asyncio.run(with_ranker(root, items, tmp_path, talk))


def _twice(asked: ranker_pb2.RankRequest) -> None:
    asked.candidates.item_keys = asked.candidates.item_keys[:8] * 4


CASES: list[tuple[str, Callable[[ranker_pb2.RankRequest], object], Reason]] = [
    ("another release", lambda r: setattr(r, "release_id", "20110101T000000-00000000"), Reason.RELEASE_NOT_LOADED),
    ("other views", lambda r: setattr(r.user, "views_hash", "f" * 64), Reason.FEATURES_MISMATCH),
    ("keys cut off", lambda r: setattr(r.candidates, "item_keys", b"1234567"), Reason.INVALID_FIELD),
    ("scores too short", lambda r: setattr(r.candidates, "scores", b"1234"), Reason.INVALID_FIELD),
    ("ranks too long", lambda r: setattr(r.candidates, "ranks", b"12" * 99), Reason.INVALID_FIELD),
    ("an item twice", _twice, Reason.INVALID_FIELD),
    ("no user", lambda r: r.ClearField("user"), Reason.INVALID_FIELD),
    ("explain too much", lambda r: setattr(r, "explain", 101), Reason.INVALID_FIELD),
    ("damaged state", lambda r: setattr(r.user, "profile", b"\x00\x00"), Reason.FEATURES_MISMATCH),
]


def test_what_is_wrong_is_refused_with_its_reason(published: tuple[Path, str], items: Items, tmp_path: Path) -> None:
    root, release_id = published

    async def talk(ask: Ask) -> None:
        before = _sample("snowmelt_stage_errors_total", stage="ranker.rank") or 0
        for said, spoil, reason in CASES:
            asked = request(release_id)
            spoil(asked)
            with pytest.raises(SnowmeltError) as error:
                await ask(asked)
            assert error.value.reason is reason, said
        # Of all these only the two that cannot be finished came so far.
        assert _sample("snowmelt_stage_errors_total", stage="ranker.rank") == before + 2

    asyncio.run(with_ranker(root, items, tmp_path, talk))


def _sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_a_release_of_other_features_is_refused(published: tuple[Path, str], items: Items, tmp_path: Path) -> None:
    store = ReleaseStore(str(tmp_path / "releases"))
    artefact = RankerArtefact.load(published[0] / published[1] / "ranker")
    trees = Trees.train(
        artefact.golden[:, :3].copy(), np.arange(20) % 2, np.full(2, 10), TreeParams(rounds=2), ("x", "y", "z")
    )

    def build(folder: Path) -> None:
        features = type(artefact.features)(("x", "y", "z"))
        RankerArtefact(trees, features, artefact.golden[:, :3].copy()).save(folder / "ranker")
        small_tables(items.columns()).save(folder / "retrieval")

    store.activate(store.publish(build, Origin(NOW, "default", {}, 0, "", VIEWS.values_hash, "0")))
    releases = FollowedReleases(str(store.root), items, Clock(), 0.1)
    releases._watcher.poll()
    assert releases.ids() == []
    assert "train again" in releases.missing()[0]


def test_a_release_of_features_that_mean_something_else_is_refused(published: tuple[Path, str]) -> None:
    root, release_id = published
    items = Items({}, compiled=with_a_wider_window())
    assert RankingSchema.of(items.views(), ()) == RankingSchema.of(VIEWS, ())
    releases = FollowedReleases(str(root), items, Clock(), 0.1)
    releases._watcher.poll()
    assert releases.ids() == []
    assert "snowmelt train" in releases.missing()[0]
    items.compiled = VIEWS
    releases.retry()
    releases._watcher.poll()
    assert (list(releases.ids()), releases.missing()) == ([release_id], [])
    assert _gauges(releases, release_id) == (1, True)
    # The live views change under what is loaded, and change back.
    items.compiled = with_a_wider_window()
    assert releases.ids() == []
    assert _gauges(releases, release_id) == (None, False)
    assert "snowmelt train" in releases.missing()[0]
    with pytest.raises(SnowmeltError) as error:
        releases.ranker(release_id)
    assert error.value.reason is Reason.RELEASE_NOT_LOADED
    items.compiled = VIEWS
    assert list(releases.ids()) == [release_id]
    assert _gauges(releases, release_id) == (1, True)


def _gauges(releases: FollowedReleases, release_id: str) -> tuple[float | None, bool]:
    """Whether the gauges name the release, and whether they say how old it is."""
    releases.set_gauges()
    age = _sample("snowmelt_release_age_seconds", service="ranker")
    return _sample("snowmelt_release_info", service="ranker", release_id=release_id), age is not None and age > 0
