"""One training: learn, judge on what came later, learn again from everything, publish, activate if good enough."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from services.trainer.ports import History, Releases
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.evaluation.gate import ACTIVE, Incumbent, Verdict, decide
from snowmelt.evaluation.global_time_split import OURS, Split, judge
from snowmelt.evaluation.metrics import Rankings
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.trees import Matrix, Trees
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.manifest import Origin
from snowmelt.retrieval import RetrievalTables
from snowmelt.runtime.stages import timed
from snowmelt.training.config import TrainingConfig
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Interactions
from snowmelt.training.model import Model, Progress, Trainer
from snowmelt.training.offline import Scores
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
    """Ours against popularity, the active release, and what else may be learned from the test."""

    split: Split
    active: Incumbent | None
    learned: RankingSet


@dataclass(frozen=True)
class _Opened:
    """The active release's trees, and the places of the columns that they read among those that are made now."""

    trees: Trees
    columns: np.ndarray

    def score(self, matrix: Matrix) -> Scores:
        """float32[n], greater is better, of float32[n, F]."""
        return self.trees.score(np.ascontiguousarray(matrix[:, self.columns]))


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
            verdict = decide(judged.split, judged.active)
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
        if active_id is None:
            return _Judged(split, None, learned)
        return _Judged(split, self._incumbent(active_id, trainer, shop, split, touches), learned)

    def _incumbent(
        self, release_id: str, trainer: Trainer, shop: Shop, split: Split, touches: Interactions
    ) -> Incumbent:
        """The active release, asked those of the same queries that are newer than all it knows, where it can be."""
        try:
            manifest = self._releases.verify(release_id)
            folder = self._releases.path(release_id)
            artefact, tables = RankerArtefact.load(folder / RANKER), RetrievalTables.load(folder / RETRIEVAL)
        except SnowmeltError as error:
            return Incumbent(unservable=f"it is damaged: {error.detail}")
        figures = manifest.origin.metrics
        recorded = figures.get(f"ndcg_at_10.{OURS}")
        if not manifest.is_of(trainer.past.views):
            return Incumbent(None, recorded, "it learned from features that mean something else")
        made = {name: column for column, name in enumerate(shop.assembler.features)}
        gone = ", ".join(name for name in artefact.features if name not in made)
        if gone:
            return Incumbent(None, recorded, f"it reads features that are not made any more: {gone}")
        same = artefact.features == shop.assembler.features
        unservable = "" if same else "it was trained on another feature list, which no service loads any more"
        newer = np.flatnonzero(split.queries.as_of_ms >= figures.get(DATA_END, np.inf))
        if len(newer) < self._config.min_test_queries:
            return Incumbent(None, recorded, unservable)
        opened = _Opened(artefact.trees, np.array([made[name] for name in artefact.features]))
        fresh = split.queries.take(newer)
        counting = trainer.counting("active release", len(fresh))
        its = judge(shop.with_tables(tables), opened, fresh, touches, counting)
        both = {OURS: _taken(split.answers[OURS], newer), ACTIVE: its.answers[OURS]}
        return Incumbent(Split(fresh, both, split.items), recorded, unservable)


def _taken(answers: Rankings, rows: np.ndarray) -> Rankings:
    return Rankings(answers.keys[rows], answers.hits[rows], answers.relevant[rows])


def _code_version() -> str:
    try:
        return version("snowmelt")
    except PackageNotFoundError:
        return "checkout"
