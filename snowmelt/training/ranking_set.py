"""What the trees learn from: the candidates of each query with their features as of then, and which were chosen."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.user_state import UserState
from snowmelt.ranking.assemble import FeatureAssembler
from snowmelt.ranking.trees import Matrix, TreeParams, Trees
from snowmelt.releases.opened import assembler
from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.training.errors import BadDataError
from snowmelt.training.offline_items import OfflineItems
from snowmelt.training.past import Past
from snowmelt.training.queries import Queries


@dataclass(frozen=True)
class Pool:
    """One query's user, instant and candidates: their features float32[n, F] and which of them were chosen, bool[n]."""

    state: UserState
    as_of_ms: int
    candidates: Candidates
    matrix: Matrix
    chosen: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankingSet:
    """g groups of rows: features float32[n, F], labels int8[n] of 0 and 1, sizes int64[g]."""

    matrix: Matrix
    labels: npt.NDArray[np.int8]
    groups: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def train(self, params: TreeParams) -> Trees:
        """Trees by lambdarank.

        Raises:
            BadDataError: no group holds something chosen beside something that was not.
        """
        if not len(self.groups):
            raise BadDataError("of no user is a chosen item among the candidates; too few choices to learn from")
        return Trees.train(self.matrix, self.labels, self.groups, params, self.names)


class Shop:
    """Retrieval and feature assembly as they would have served from one instant on."""

    def __init__(self, past: Past, tables: RetrievalTables, items: OfflineItems, limit: int) -> None:
        self._past, self._limit, self.items = past, limit, items
        self.retriever = Retriever(tables, items)
        self.assembler: FeatureAssembler = assembler(past.views, items, self.retriever)

    def with_tables(self, tables: RetrievalTables) -> "Shop":
        """The same past and items served by another release's tables."""
        return Shop(self._past, tables, self.items, self._limit)

    def pools(self, queries: Queries, done: Callable[[int], None]) -> Iterator[Pool]:
        """The candidates of each query in turn; ``done`` is told how many are made."""
        states = self._past.states(queries.entities, queries.as_of_ms)
        for place, (state, as_of_ms, truth) in enumerate(
            zip(states, queries.as_of_ms.tolist(), queries.truths, strict=True), start=1
        ):
            query = RetrievalQuery(state, self._limit, as_of_ms, tenant=self._past.tenant)
            candidates, _ = self.retriever.retrieve(query)
            matrix = self.assembler.assemble(state, candidates, as_of_ms)
            yield Pool(state, as_of_ms, candidates, matrix, np.isin(candidates.keys, truth))
            done(place)


class Collector:
    """Gathers pools into a ranking set; of what was not chosen only a seeded draw is kept, which halves the work."""

    def __init__(self, names: tuple[str, ...], negatives: int, seed: int) -> None:
        self._names, self._negatives = names, negatives
        self._random = np.random.default_rng(seed)
        self._parts: list[Matrix] = []
        self._labels: list[npt.NDArray[np.int8]] = []

    def add(self, pool: Pool) -> None:
        """Takes the pool's rows, unless nothing or everything in it was chosen."""
        if not pool.chosen.any() or pool.chosen.all():
            return
        others = np.flatnonzero(~pool.chosen)
        if len(others) > self._negatives:
            others = self._random.choice(others, self._negatives, replace=False)
        kept = np.sort(np.concatenate((np.flatnonzero(pool.chosen), others)))
        self._parts.append(pool.matrix[kept])
        self._labels.append(pool.chosen[kept].astype(np.int8))

    def finish(self) -> RankingSet:
        """The set of all that was added."""
        empty = np.empty((0, len(self._names)), np.float32)
        groups = np.array([len(part) for part in self._labels], np.int64)
        labels = np.concatenate([*self._labels, np.empty(0, np.int8)])
        return RankingSet(np.concatenate([*self._parts, empty]), labels, groups, self._names)


def joined(parts: Sequence[RankingSet]) -> RankingSet:
    """Ranking sets of the same columns one after the other."""
    return RankingSet(
        np.concatenate([p.matrix for p in parts]),
        np.concatenate([p.labels for p in parts]),
        np.concatenate([p.groups for p in parts]),
        parts[0].names,
    )
