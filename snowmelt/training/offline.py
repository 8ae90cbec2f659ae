"""What serving would answer, without any door: the same retrieval, features, trees and blending over a past.

Judge, protocols and the comparison with the running services all ask here, so that what is measured is what is served.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from snowmelt.blending import Content, Rules, blend
from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemSource
from snowmelt.ranking.trees import Matrix
from snowmelt.training.queries import Queries
from snowmelt.training.ranking_set import Pool, Shop

Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """What scores candidates; Trees is one."""

    def score(self, matrix: Matrix) -> Scores:
        """float32[n] of float32[n, F], greater is better."""


@dataclass(frozen=True)
class Answered:
    """One query's answer.

    Attributes:
        scores: float32[n], of the pool's candidates.
        slate: int64[<= k], rows of the candidates that are shown, in order.
    """

    pool: Pool
    scores: Scores
    slate: npt.NDArray[np.int64]

    @property
    def keys(self) -> Keys:
        """uint64[<= k]: the items shown, in order."""
        return self.pool.candidates.keys[self.slate]


def offline_recommend(
    shop: Shop, scorer: Scorer, queries: Queries, k: int, done: Callable[[int], None]
) -> Iterator[Answered]:
    """The answer to each query in turn; ``done`` is told how many are made.

    Candidates, scores and order are what the services answer at the query's instant to a request that excludes
    nothing, where the shop holds their release over the items as they were then.
    """
    for pool in shop.pools(queries, done):
        scores = scorer.score(pool.matrix)
        yield Answered(pool, scores, slate(shop.items, pool, scores, k))


def slate(items: ItemSource, pool: Pool, scores: Scores | None, k: int) -> npt.NDArray[np.int64]:
    """int64[<= k]: the rows that the gateway would show; without scores in retrieval's order, as without a ranker."""
    content = Content.of(items, pool.candidates.keys)
    rules = Rules(pool.state.seen_keys)
    places = blend(pool.candidates, scores, k, content=content, as_of_ms=pool.as_of_ms, rules=rules)
    return np.array([place.row for place in places], np.int64)
