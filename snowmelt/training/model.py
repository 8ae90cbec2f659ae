"""What a release holds, trained: the tables and the trees; and the steps that lead there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmelt.features.feature_list import FeatureList
from snowmelt.ranking.artefact import GOLDEN_MAX, RankerArtefact
from snowmelt.ranking.trees import Trees
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.retrieval import RetrievalTables
from snowmelt.training.config import TrainingConfig
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Interactions
from snowmelt.training.labels import first_touches, is_positive, parse_rules
from snowmelt.training.past import Past
from snowmelt.training.queries import Queries, at_choices
from snowmelt.training.ranking_set import Collector, RankingSet, Shop, joined
from snowmelt.training.vectors import build_tables
from snowmelt.training.windows import Windows

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Model:
    """Tables and trees that belong together."""

    tables: RetrievalTables
    ranker: RankerArtefact

    @classmethod
    def of(cls, tables: RetrievalTables, trees: Trees, learned: RankingSet) -> "Model":
        """With golden rows drawn evenly from what the trees learned."""
        places = np.linspace(0, len(learned.matrix) - 1, min(GOLDEN_MAX, len(learned.matrix))).astype(np.int64)
        return cls(tables, RankerArtefact(trees, FeatureList(learned.names), learned.matrix[places]))

    def save(self, folder: Path) -> None:
        """Writes the release's files."""
        self.tables.save(folder / RETRIEVAL)
        self.ranker.save(folder / RANKER)


class Trainer:
    """The steps of one training over a past; the same past and configuration give the same model."""

    def __init__(self, past: Past, config: TrainingConfig, progress: Progress) -> None:
        self.past, self.config, self._progress = past, config, progress
        try:
            self._rules = parse_rules(config.positives, past.views.event_types)
        except ValueError as error:
            raise BadDataError(str(error)) from None
        self._chosen = is_positive(past.events, self._rules, past.views.event_types)

    def touches(self, end_ms: int) -> Interactions:
        """The choices among what happened before an instant.

        Raises:
            BadDataError: there are none, or all are of one user or one item.
        """
        events, shown_ms = self.past.events, self.past.shown_ms
        before = np.flatnonzero(events.times_ms < end_ms)
        shown = None if shown_ms is None else shown_ms[before]
        return first_touches(events.take(before), self._rules, self.past.views.event_types, shown)

    def tables(self, as_of_ms: int, until_ms: int | None = None) -> RetrievalTables:
        """Tables out of the choices before an instant, over the items known then (or before ``until_ms``)."""
        chosen = self.past.events.take(self._chosen & (self.past.events.times_ms < as_of_ms))
        return build_tables(chosen, self.past.items(as_of_ms, until_ms).columns(), as_of_ms)

    def shop(self, start_ms: int, end_ms: int, tables: RetrievalTables | None = None) -> Shop:
        """What would have served from ``start_ms`` to ``end_ms``, with tables built at the start or those given."""
        items = self.past.items(start_ms, end_ms)
        return Shop(self.past, tables or self.tables(start_ms), items, self.config.candidates)

    def queries(self, start_ms: int, end_ms: int, limit: int) -> Queries:
        """Queries drawn from the choices of a window, of which nothing after the window is known."""
        touches = self.touches(end_ms)
        return at_choices(
            touches, start_ms, end_ms, horizon_ms=self.config.horizon_ms, per_user=self.config.per_user, limit=limit
        )

    def collector(self, shop: Shop, seed: int) -> Collector:
        """Where pools of a shop are gathered."""
        return Collector(shop.assembler.features.names, self.config.negatives, seed)

    def counting(self, stage: str, total: int) -> Callable[[int], None]:
        """Says how much of a stage is done."""
        return lambda done: self._progress(stage, done, total)

    def learn(self, windows: Windows) -> RankingSet:
        """The ranking set of the label window, block by block."""
        parts, each = [], self.config.max_queries // len(windows.blocks)
        for place, (start_ms, end_ms) in enumerate(windows.blocks):
            stage = f"labels {place + 1} of {len(windows.blocks)}"
            queries = self.queries(start_ms, end_ms, each)
            self._progress(stage, 0, len(queries))
            shop = self.shop(start_ms, end_ms)
            collector = self.collector(shop, place)
            for pool in shop.pools(queries, self.counting(stage, len(queries))):
                collector.add(pool)
            parts.append(collector.finish())
        return joined(parts)
