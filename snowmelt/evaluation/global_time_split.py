"""A release judged on what came after everything that it knows: against popularity, and against the active release."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import Keys
from snowmelt.evaluation import metrics, popularity
from snowmelt.evaluation.bootstrap import Interval, interval, paired
from snowmelt.evaluation.metrics import Rankings, rankings
from snowmelt.training.interactions import Interactions
from snowmelt.training.offline import Scorer, offline_recommend
from snowmelt.training.queries import Queries
from snowmelt.training.ranking_set import Collector, Shop

K, PLACES = 10, 20
BASELINE_DAYS = (7, 28)


@dataclass(frozen=True)
class Split:
    """What was asked, and what each method answered; the first is ours."""

    queries: Queries
    answers: dict[str, Rankings]
    items: int

    def ndcg(self, method: str) -> npt.NDArray[np.float64]:
        """float64[q]: NDCG@10 of each query."""
        return metrics.ndcg(self.answers[method], K)

    def interval(self, method: str) -> Interval:
        """Mean NDCG@10 and its interval, users drawn."""
        return interval(self.ndcg(method), self.queries.users)

    def against(self, method: str, other: str) -> Interval:
        """Mean difference of NDCG@10, the first minus the second, over the same queries, users drawn."""
        return paired(self.ndcg(method), self.ndcg(other), self.queries.users)

    def figures(self) -> dict[str, float]:
        """Every method's metrics by name, for a manifest."""
        found = {"queries": float(len(self.queries)), "users": float(len(np.unique(self.queries.users)))}
        for method, answers in self.answers.items():
            each = self.interval(method)
            found |= {
                f"ndcg_at_10.{method}": each.mean,
                f"ndcg_at_10.{method}.low": each.low,
                f"ndcg_at_10.{method}.high": each.high,
                f"recall_at_20.{method}": float(metrics.recall(answers, PLACES).mean()),
                f"hit_rate_at_10.{method}": float(metrics.hit_rate(answers, K).mean()),
                f"coverage_at_10.{method}": metrics.coverage(answers, K, self.items),
            }
        return found


OURS = "release"


def judge(
    shop: Shop,
    scorer: Scorer,
    queries: Queries,
    touches: Interactions,
    done: Callable[[int], None],
    *,
    collector: Collector | None = None,
) -> Split:
    """Asks a shop and its trees the queries; the baselines count the choices up to each query's instant.

    What is judged is the slate that the services would answer. ``collector`` gets each pool, so that the
    final trees may learn from the test too.
    """
    seen: list[Keys] = []
    lists: list[Keys] = []
    for answered in offline_recommend(shop, scorer, queries, PLACES, done):
        lists.append(answered.keys)
        seen.append(answered.pool.state.seen_keys)
        if collector is not None:
            collector.add(answered.pool)
    answers = {OURS: rankings(lists, queries.truths, PLACES)}
    for days in BASELINE_DAYS:
        tops: list[Keys] = []
        for as_of_ms, own in zip(queries.as_of_ms.tolist(), seen, strict=True):
            top = popularity.most_popular(touches, as_of_ms + 1, days * DAY_MS)
            tops.append(popularity.without(top, own, PLACES))
        answers[f"popularity_{days}d"] = rankings(tops, queries.truths, PLACES)
    return Split(queries, answers, len(shop.items.columns()))
