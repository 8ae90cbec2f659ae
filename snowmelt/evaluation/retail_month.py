"""The protocol ``retail-month``: Online Retail by month, discovery only, the whole catalogue, through the serving code.

For each test month everything before its start is known and nothing within it is learned. Users who bought before are
asked once, at the start; items that they bought before are out of candidates and truth; items first sold within the
month are candidates through their text. The trees learn from the three months before, each asked in the same way, with
the trainer's own configuration; what is ranked is the slate that serving would show.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemSource
from snowmelt.evaluation import popularity
from snowmelt.evaluation.metrics import Rankings, rankings
from snowmelt.ranking.trees import Trees
from snowmelt.training.config import TrainingConfig
from snowmelt.training.interactions import Interactions
from snowmelt.training.offline import Answered, offline_recommend, slate
from snowmelt.training.past import Past
from snowmelt.training.queries import Queries, over_window
from snowmelt.training.ranking_set import Collector, RankingSet, Shop, joined
from snowmelt.training.vectors import build_tables

TEST_MONTHS = ("2011-09", "2011-10", "2011-11")
VALIDATION_MONTHS = ("2011-06", "2011-07", "2011-08")
LEARNED_MONTHS = 3
PLACES = 20
BASELINES: dict[str, int | None] = {"popularity, all time": None, "popularity, 28 days": 28, "popularity, 7 days": 7}
FIRST_BASELINE, FIRST_DAYS = "first purchases, 7 days", 7
"""Stronger than what the protocol asks for: counts only purchases of what was new to the buyer."""
OURS, RETRIEVAL = "snowmelt", "retrieval order"
PRODUCT = TrainingConfig()
"""How the trainer trains."""

Progress = Callable[[str, int, int], None]


@dataclass
class Month:
    """One month's queries and what each method answered: by name, one list of keys a query, best first."""

    name: str
    queries: Queries
    history: npt.NDArray[np.int64]
    new_keys: Keys
    learned: RankingSet
    lists: dict[str, list[Keys]] = field(default_factory=dict)

    def rankings(self, method: str) -> Rankings:
        """What a method answered, against what was bought."""
        return rankings(self.lists[method], self.queries.truths, PLACES)


def run(
    past: Past,
    touches: Interactions,
    purchases: Interactions,
    months: tuple[str, ...],
    progress: Progress,
    *,
    config: TrainingConfig = PRODUCT,
) -> list[Month]:
    """The test months in order; their lists hold ours, each source alone, retrieval's order, the baselines.

    Args:
        touches: first purchases of an item by a user.
        purchases: all of them.
        config: candidates, negatives and trees are as it says; what is measured is the product with the default.
    """
    first = np.datetime64(months[0], "M") - LEARNED_MONTHS
    names = [str(m) for m in np.arange(first, np.datetime64(months[-1], "M") + 1)]
    made: list[Month] = []
    for place, name in enumerate(names):
        progress("retail-month", place, len(names))
        trees = None
        if name in months:
            trees = joined([month.learned for month in made[-LEARNED_MONTHS:]]).train(config.trees)
        made.append(_month(past, touches, purchases, name, trees=trees, config=config))
    progress("retail-month", len(names), len(names))
    return [month for month in made if month.name in months]


def _start_ms(month: np.datetime64) -> int:
    return int(month.astype("datetime64[ms]").astype(np.int64))


def _month(
    past: Past,
    touches: Interactions,
    purchases: Interactions,
    name: str,
    *,
    trees: Trees | None,
    config: TrainingConfig,
) -> Month:
    start, end = (_start_ms(np.datetime64(name, "M") + ahead) for ahead in (0, 1))
    items = past.items(start, end, announced=True)
    before = touches.between(0, start)
    tables = build_tables(past.events.take(past.events.times_ms < start), items.columns(), start)
    shop = Shop(past, tables, items, config.candidates)
    queries = over_window(touches, start, end)
    bought = before.by_user()
    owned = [bought[user] for user in queries.users.tolist()]
    collector = Collector(shop.assembler.features.names, config.negatives, seed=start // 1000)
    lists: dict[str, list[Keys]] = {}
    if trees is None:
        for pool in shop.pools(queries, lambda _: None):
            collector.add(pool)
    else:
        for answered in offline_recommend(shop, trees, queries, PLACES, lambda _: None):
            collector.add(answered.pool)
            for method, found in _orders(items, answered).items():
                lists.setdefault(method, []).append(found)
    counted = {method: (purchases, days) for method, days in BASELINES.items()} | {
        FIRST_BASELINE: (touches, FIRST_DAYS)
    }
    for method, (of, days) in counted.items():
        top = popularity.most_popular(of, start, None if days is None else days * DAY_MS)
        lists[method] = [popularity.without(top, own, PLACES) for own in owned]
    new = np.setdiff1d(touches.between(start, end).keys, before.keys)
    history = np.array([len(own) for own in owned], np.int64)
    return Month(name, queries, history, new, collector.finish(), lists)


def _orders(items: ItemSource, answered: Answered) -> dict[str, Keys]:
    """What is shown with the ranker, without it, and what each source alone would propose."""
    pool, found = answered.pool, answered.pool.candidates
    orders = {OURS: answered.keys, RETRIEVAL: found.keys[slate(items, pool, None, PLACES)]}
    for column, source in enumerate(found.sources):
        proposed = np.flatnonzero(found.ranks[:, column])
        best = proposed[np.argsort(found.ranks[proposed, column], kind="stable")]
        orders[f"source {source}"] = found.keys[best[:PLACES]]
    return orders
