"""One training: learn, judge on what came later, learn again from everything, publish, activate if good enough."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from services.trainer.ports import History, Releases
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.evaluation.gate import ACTIVE, Verdict, decide
from snowmelt.evaluation.global_time_split import OURS, Split, judge
from snowmelt.evaluation.metrics import Rankings
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.trees import Trees
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.manifest import Origin
from snowmelt.releases.opened import check_views
from snowmelt.retrieval import RetrievalTables
from snowmelt.runtime.stages import timed
from snowmelt.training.config import TrainingConfig
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Interactions
from snowmelt.training.model import Model, Progress, Trainer
from snowmelt.training.ranking_set import RankingSet, Shop, joined
from snowmelt.training.windows import Windows, windows

DATA_END = "data_end_ms"


@dataclass(frozen=True)
class Trained:
    """How a training went."""

    release_id: str
    activated: bool
    verdict: Verdict
    metrics: dict[str, float]
    lake_versions: dict[str, int]


@dataclass(frozen=True)
class _Judged:
    """Ours against popularity, ours against the active release, and what else may be learned from the test."""

    split: Split
    active: Split | None
    recorded: float | None
    learned: RankingSet


class Training:
    """The use case."""

    def __init__(
        self, history: History, releases: Releases, config: TrainingConfig, clock: Clock, progress: Progress
    ) -> None:
        self._history, self._releases, self._config = history, releases, config
        self._clock, self._progress = clock, progress

    def run(self, keep: int) -> Trained:
        """Trains, publishes, activates where the gate lets it.

        Raises:
            BadDataError: the data is empty, too little or of one class; nothing was published.
            SnowmeltError: GENERATION_MISMATCH where somebody else activated a release meanwhile.
        """
        self._progress("read the lake", 0, 1)
        with timed("trainer.read"):
            past, versions = self._history.read()
        self._progress("read the lake", 1, 1)
        before = self._releases.active()
        trainer = Trainer(past, self._config, self._progress)
        with timed("trainer.learn"):
            touches = trainer.touches(past.end_ms)
            cut = windows(touches, past.end_ms, self._config)
            learned = trainer.learn(cut)
            first = learned.train(self._config.trees)
        with timed("trainer.judge"):
            judged = self._judge(trainer, cut, touches, first, before.release_id)
            verdict = decide(judged.split, judged.active, judged.recorded)
        with timed("trainer.finish"):
            model = self._model(trainer, past.end_ms, joined([learned, judged.learned]))
        metrics = judged.split.figures() | {DATA_END: float(past.end_ms)}
        origin = Origin(
            created_at_ms=self._clock.now_ms(),
            tenant=past.tenant,
            lake_versions=versions,
            clock_offset_ms=self._clock.offset_ms,
            feature_list_hash=model.ranker.features.hash,
            views_hash=past.views.values_hash,
            code_version=_code_version(),
            metrics=metrics,
        )
        with timed("trainer.publish"):
            release_id = self._releases.publish(model.save, origin)
            if verdict.passed:
                self._releases.activate(release_id, before.generation)
            self._releases.retain(keep)
        return Trained(release_id, verdict.passed, verdict, metrics, dict(versions))

    def _model(self, trainer: Trainer, end_ms: int, everything: RankingSet) -> Model:
        self._progress("final tables and trees", 0, 2)
        trees = everything.train(self._config.trees)
        self._progress("final tables and trees", 1, 2)
        model = Model.of(trainer.tables(end_ms), trees, everything)
        self._progress("final tables and trees", 2, 2)
        return model

    def _judge(
        self, trainer: Trainer, cut: Windows, touches: Interactions, trees: Trees, active_id: str | None
    ) -> _Judged:
        queries = trainer.queries(cut.test_ms, cut.end_ms, self._config.max_test_queries)
        if len(queries) < self._config.min_test_queries:
            raise BadDataError(
                f"only {len(queries)} test queries in the newest {self._config.test_share:.0%} of the choices; "
                f"at least {self._config.min_test_queries} are needed to judge a release"
            )
        shop = trainer.shop(cut.test_ms, cut.end_ms)
        collector = trainer.collector(shop, len(cut.blocks))
        counting = trainer.counting("test", len(queries))
        split = judge(shop, trees, queries, touches, counting, collector=collector)
        learned = collector.finish()
        known = self._active(active_id, shop, trainer.past.views) if active_id else None
        if known is None:
            return _Judged(split, None, None, learned)
        tables, artefact, figures = known
        newer = np.flatnonzero(queries.as_of_ms >= figures.get(DATA_END, np.inf))
        if len(newer) < self._config.min_test_queries:
            return _Judged(split, None, figures.get(f"ndcg_at_10.{OURS}"), learned)
        fresh = queries.take(newer)
        its_shop = trainer.shop(cut.test_ms, cut.end_ms, tables)
        its_split = judge(its_shop, artefact.trees, fresh, touches, trainer.counting("active release", len(fresh)))
        both = {OURS: _taken(split.answers[OURS], newer), ACTIVE: its_split.answers[OURS]}
        return _Judged(split, Split(fresh, both, split.items), None, learned)

    def _active(
        self, release_id: str, shop: Shop, views: CompiledViews
    ) -> tuple[RetrievalTables, RankerArtefact, dict[str, float]] | None:
        """The active release; None where it is damaged or of other features, so that nothing could serve it."""
        try:
            manifest = self._releases.verify(release_id)
            check_views(manifest, views)
            folder = self._releases.path(release_id)
            artefact = RankerArtefact.load(folder / RANKER)
            shop.assembler.features.require(artefact.features.hash)
            return RetrievalTables.load(folder / RETRIEVAL), artefact, dict(manifest.origin.metrics)
        except SnowmeltError:
            return None


def _taken(answers: Rankings, rows: np.ndarray) -> Rankings:
    return Rankings(answers.keys[rows], answers.hits[rows], answers.relevant[rows])


def _code_version() -> str:
    try:
        return version("snowmelt")
    except PackageNotFoundError:
        return "checkout"
