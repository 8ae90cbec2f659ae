"""Retrieval: a user's state in, candidates out."""

import threading
import time

import numpy as np

from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.items import ItemSource
from snowmelt.retrieval import config as names
from snowmelt.retrieval.config import RetrievalConfig
from snowmelt.retrieval.counts import CountTiles
from snowmelt.retrieval.merge import merge
from snowmelt.retrieval.query import RetrievalQuery
from snowmelt.retrieval.request import Request
from snowmelt.retrieval.shelf import Shelf
from snowmelt.retrieval.sources.content_neighbours import ContentSource
from snowmelt.retrieval.sources.item_to_item import ItemToItemSource
from snowmelt.retrieval.sources.new_items import NewItemsSource
from snowmelt.retrieval.sources.popularity import CategoryPopularitySource, PopularitySource
from snowmelt.retrieval.sources.source import Answer, Source
from snowmelt.retrieval.sources.vectors import VectorSource
from snowmelt.retrieval.tables import RetrievalTables


class Retriever:
    """One release's retrieval over live items; safe for use by many threads."""

    def __init__(self, tables: RetrievalTables, items: ItemSource, config: RetrievalConfig | None = None) -> None:
        self._config = config or RetrievalConfig()
        self._tables = tables
        self._items = items
        self._sources = _sources(tables, self._config)
        self._counts = CountTiles(items, self._config.popularity_tile_ms)
        self._lock = threading.Lock()
        self._shelf = Shelf.stock(tables, items.columns())

    def refresh(self) -> Shelf:
        """Takes up new content, embedding what changed; cheap where nothing did. Each retrieval does so, too."""
        columns = self._items.columns()
        if self._shelf.catalog.columns is not columns:
            with self._lock:
                if self._shelf.catalog.columns is not columns:
                    self._shelf = Shelf.stock(self._tables, columns, self._shelf)
        return self._shelf

    def warm(self, as_of_ms: int) -> None:
        """Finishes the counts that requests after the instant will read."""
        self._counts.warm(self.refresh().catalog, as_of_ms)

    def retrieve(self, query: RetrievalQuery) -> tuple[Candidates, list[StageTime]]:
        """At most ``query.limit`` candidates, best first, and how long each stage took.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where item_stats lacks a count that the configuration names.
        """
        stages: list[StageTime] = []
        started = time.perf_counter()

        def done(name: str) -> None:
            nonlocal started
            now = time.perf_counter()
            stages.append(StageTime(name, (now - started) * 1000))
            started = now

        shelf = self.refresh()
        request = Request.of(
            query,
            shelf,
            lambda feature: self._counts.read(shelf.catalog, query.as_of_ms, feature),
        )
        done("retrieval.filters")
        answers: list[Answer] = []
        for name, source in self._sources.items():
            answers.append(source.propose(request))
            done(f"retrieval.source.{name}")
        candidates = self._merge(request, answers)
        done("retrieval.merge")
        return candidates, stages

    def _merge(self, request: Request, answers: list[Answer]) -> Candidates:
        parts = self._config.sources
        merged = merge(
            [answer.proposal for answer in answers],
            [int(part.quota * request.limit) for part in parts],
            [part.weight for part in parts],
            fusion_rank=self._config.fusion_rank,
            limit=request.limit,
            row_count=len(request.shelf.catalog),
        )
        scores = np.stack([answer.scores(merged.rows) for answer in answers], axis=1)
        return Candidates(request.shelf.catalog.keys[merged.rows], tuple(self._sources), scores, merged.ranks)


def _sources(tables: RetrievalTables, config: RetrievalConfig) -> dict[str, Source]:
    known: dict[str, Source] = {
        names.VECTORS: VectorSource(tables, config.history_half_life_days),
        names.ITEM_TO_ITEM: ItemToItemSource(tables, config.history_half_life_days),
        names.POPULARITY_7D: PopularitySource(config.count_7d),
        names.POPULARITY_28D: PopularitySource(config.count_28d),
        names.POPULARITY_CATEGORY_7D: CategoryPopularitySource(config.count_7d, config.category_limit),
        names.POPULARITY_CATEGORY_28D: CategoryPopularitySource(config.count_28d, config.category_limit),
        names.NEW_ITEMS: NewItemsSource(config.new_half_life_days),
        names.CONTENT_NEIGHBOURS: ContentSource(config.content_items, config.history_half_life_days),
    }
    return {source.name: known[source.name] for source in config.sources}
