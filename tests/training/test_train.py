"""One training end to end: publishes and activates, is deterministic, refuses what it must, and leaks nothing."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from services.trainer.train import Trained, Training
from snowmelt.contracts.clock import Clock
from snowmelt.features.asof import AsOf
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.schema import RankingSchema
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.store import ReleaseStore
from snowmelt.retrieval import RetrievalTables
from snowmelt.training.config import TrainingConfig
from snowmelt.training.errors import BadDataError
from snowmelt.training.model import Trainer
from snowmelt.training.offline import offline_recommend, slate
from snowmelt.training.offline_items import OfflineItems
from snowmelt.training.past import Past
from snowmelt.training.queries import Queries
from snowmelt.training.ranking_set import Shop
from snowmelt.training.windows import windows
from tests.training.shop import CONFIG, Given, small_past
from tests.training.slates import shown_past


def run(root: Path, past: Past, config: TrainingConfig = CONFIG) -> Trained:
    clock = Clock(0, lambda: past.end_ms)
    return Training(Given(past), ReleaseStore(str(root)), config, clock, lambda *_: None).run(keep=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    root = tmp_path_factory.mktemp("releases")
    return root, run(root, small_past())


def test_a_release_is_published_and_activated(trained: tuple[Path, Trained]) -> None:
    root, made = trained
    store = ReleaseStore(str(root))
    assert made.activated, made.verdict.reasons
    assert store.active().release_id == made.release_id
    origin = store.verify(made.release_id).origin
    assert origin.lake_versions == {"events": 3, "catalog": 1}
    assert origin.metrics["ndcg_at_10.release"] > origin.metrics["ndcg_at_10.popularity_28d"]
    assert origin.metrics["ndcg_at_10.release.low"] < origin.metrics["ndcg_at_10.release.high"]


def test_each_stage_of_a_training_is_timed(trained: tuple[Path, Trained]) -> None:
    for name in ("read", "learn", "judge", "finish", "publish"):
        assert (REGISTRY.get_sample_value("snowmelt_stage_seconds_sum", {"stage": f"trainer.{name}"}) or 0) > 0


def test_the_same_past_gives_the_same_files(trained: tuple[Path, Trained], tmp_path: Path) -> None:
    root, made = trained
    again = run(tmp_path, small_past())
    first, second = (ReleaseStore(str(r)).verify(t.release_id) for r, t in ((root, made), (tmp_path, again)))
    assert first.files == second.files
    assert first.origin.metrics == second.origin.metrics


def test_offline_answers_are_the_best_of_what_may_be_shown(trained: tuple[Path, Trained]) -> None:
    root, made = trained
    past, folder = small_past(), root / made.release_id
    shop = Shop(past, RetrievalTables.load(folder / RETRIEVAL), past.items(past.end_ms), 100)
    users = sorted(set(past.events.users))[:20]
    seen: dict[str, set[int]] = {user: set() for user in users}
    for user, key in zip(past.events.users, past.events.item_keys.tolist(), strict=True):
        if user in seen:
            seen[user].add(key)
    trees = RankerArtefact.load(folder / RANKER).trees
    answers = offline_recommend(shop, trees, Queries.at(users, past.end_ms), 8, lambda _: None)
    for user, answered in zip(users, answers, strict=True):
        shown = answered.scores[answered.slate].tolist()
        assert len(shown) == 8
        assert shown == sorted(answered.scores.tolist(), reverse=True)[:8]
        assert not seen[user] & set(answered.keys.tolist())
        in_order = slate(shop.items, answered.pool, None, 8)
        assert in_order.tolist() == list(range(8))


def test_a_slate_leaves_out_what_was_seen_or_withdrawn_since_it_was_retrieved(trained: tuple[Path, Trained]) -> None:
    root, made = trained
    past = small_past()
    shop = Shop(past, RetrievalTables.load(root / made.release_id / RETRIEVAL), past.items(past.end_ms), 100)
    (pool,) = shop.pools(Queries.at(["nobody"], past.end_ms), lambda _: None)
    best = pool.candidates.keys[:2]
    state = replace(pool.state, seen_keys=best[:1])
    columns = shop.items.columns()
    withdrawn = columns.withdrawn | (columns.keys == best[1])
    items = OfflineItems(replace(columns, withdrawn=withdrawn), AsOf(past.views.views["item_stats"], past.events), ())
    assert slate(items, replace(pool, state=state), None, 3).tolist() == [2, 3, 4]


def until(past: Past, as_of_ms: int) -> Past:
    """The same past as far as it had happened at an instant."""
    events, shown, catalogue = past.events, past.impressions, past.catalogue
    return replace(
        past,
        events=events.take(events.times_ms <= as_of_ms),
        impressions=None if shown is None else shown.take(shown.times_ms <= as_of_ms),
        catalogue=catalogue.take(catalogue.times_ms <= as_of_ms),
        shown_ms=None if past.shown_ms is None else past.shown_ms[events.times_ms <= as_of_ms],
    )


@pytest.mark.parametrize("shown", [False, True], ids=["nothing shown", "slates shown"])
def test_nothing_of_the_future_reaches_the_features_of_a_label(shown: bool) -> None:
    past = shown_past(named=True) if shown else small_past()
    trainer = Trainer(past, CONFIG, lambda *_: None)
    start, end = windows(trainer.touches(past.end_ms), past.end_ms, CONFIG).blocks[0]
    asked = trainer.queries(start, end, 8)
    assert len(asked) == 8
    for place, with_future in enumerate(trainer.shop(start, end).pools(asked, lambda _: None)):
        alone = Trainer(until(past, with_future.as_of_ms), CONFIG, lambda *_: None)
        (without,) = alone.shop(start, end).pools(asked.take(np.array([place])), lambda _: None)
        assert with_future.candidates.keys.tolist() == without.candidates.keys.tolist()
        assert np.array_equal(with_future.matrix, without.matrix, equal_nan=True)


def test_the_truths_of_a_window_know_nothing_after_it() -> None:
    past = shown_past(named=True)
    trainer = Trainer(past, CONFIG, lambda *_: None)
    start, end = windows(trainer.touches(past.end_ms), past.end_ms, CONFIG).blocks[0]
    asked = trainer.queries(start, end, 40)
    without = Trainer(until(past, end - 1), CONFIG, lambda *_: None).queries(start, end, 40)
    assert [without.entities, without.as_of_ms.tolist()] == [asked.entities, asked.as_of_ms.tolist()]
    assert [t.tolist() for t in without.truths] == [t.tolist() for t in asked.truths]


def test_a_release_that_is_worse_than_popularity_is_published_and_not_activated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snowmelt.ranking.trees import Trees

    score = Trees.score
    monkeypatch.setattr(Trees, "score", lambda self, matrix: -score(self, matrix))
    made = run(tmp_path, small_past())
    store = ReleaseStore(str(tmp_path))
    assert not made.activated
    assert "is worse than popularity" in made.verdict.reasons[0]
    assert store.active().release_id is None
    store.verify(made.release_id)


@pytest.mark.parametrize("same_features", [True, False])
def test_the_next_release_is_compared_with_the_active_one_on_what_is_newer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_features: bool
) -> None:
    past = small_past()
    middle = int(np.quantile(past.events.times_ms, 0.85))
    old = replace(past, events=past.events.take(past.events.times_ms < middle))
    with monkeypatch.context() as then:
        if not same_features:
            fewer_features(then, tmp_path)
        first = run(tmp_path, old)
    assert first.activated
    second = run(tmp_path, past)
    assert "active" in second.verdict.differences
    assert ["kept nothing out" in note for note in second.verdict.notes] == ([] if same_features else [True])


def fewer_features(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    """The first of the statistics of items is not there."""
    of = RankingSchema.of

    def without_one(views: CompiledViews, sources: Sequence[str]) -> RankingSchema:
        whole = of(views, sources)
        return replace(whole, statistics=whole.statistics[1:])

    monkeypatch.setattr(RankingSchema, "of", without_one)


def damaged(_: pytest.MonkeyPatch, release: Path) -> None:
    """A file of the active release is not what its manifest says."""
    with (release / RANKER / "model.txt").open("a") as model:
        model.write("more")


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [(fewer_features, "it reads features that are not made any more: item."), (damaged, "it is damaged: ")],
)
def test_an_active_release_that_cannot_answer_keeps_nothing_out_and_it_is_said(
    trained: tuple[Path, Trained],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[pytest.MonkeyPatch, Path], None],
    said: str,
) -> None:
    root, active = trained
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    meanwhile(monkeypatch, tmp_path / active.release_id)
    made = run(tmp_path, small_past(), replace(CONFIG, max_queries=80, max_test_queries=40))
    assert made.activated, made.verdict.reasons
    assert set(made.verdict.differences) == {"popularity_7d", "popularity_28d"}
    assert made.verdict.notes[0].startswith("compared with popularity only")
    assert said in made.verdict.notes[0]


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_too_little_data_is_an_error_and_nothing_is_published(tmp_path: Path, rows: int) -> None:
    past = small_past()
    with pytest.raises(BadDataError):
        run(tmp_path, replace(past, events=past.events.take(np.arange(rows))))
    assert ReleaseStore(str(tmp_path)).list() == ()
