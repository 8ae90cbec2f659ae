"""The protocol's parts that the whole run rests on: who is asked, what is true, and the baselines' known figures."""

import os
from pathlib import Path

import numpy as np
import pytest

from snowmelt.contracts.clock import DAY_MS
from snowmelt.datasets import retail
from snowmelt.datasets.rows import event_rows
from snowmelt.evaluation import metrics, popularity
from snowmelt.evaluation.retail_month import PLACES, TEST_MONTHS
from snowmelt.features.defaults import default_views
from snowmelt.training.interactions import Interactions
from snowmelt.training.labels import choices, first_touches, parse_rules
from snowmelt.training.queries import over_window

DATA = Path(os.environ.get("SNOWMELT_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.mark.data
def test_queries_and_baselines_have_the_published_figures() -> None:
    path = DATA / "online_retail" / "online_retail.parquet"
    if not path.exists():
        pytest.skip("Online Retail is not here; set SNOWMELT_TEST_DATA to the folder that holds online_retail/")
    views = default_views()
    rows, rules = event_rows(retail.load(path), views), parse_rules("purchase", views.event_types)
    touches, bought = first_touches(rows, rules, views.event_types), choices(rows, rules, views.event_types)
    counts, gains = [], {None: [], 28: [], 7: []}
    for name in TEST_MONTHS:
        month = np.datetime64(name, "M")
        start, end = (int(m.astype("datetime64[ms]").astype(np.int64)) for m in (month, month + 1))
        asked = over_window(touches, start, end)
        counts.append(len(asked))
        owned = touches.between(0, start).by_user()
        for days, found in gains.items():
            top = popularity.most_popular(bought, start, None if days is None else days * DAY_MS)
            lists = [popularity.without(top, owned[user], PLACES) for user in asked.users.tolist()]
            found.append(metrics.ndcg(metrics.rankings(lists, asked.truths, PLACES), 10))
    assert counts == [887, 944, 1247]
    means = [round(float(np.concatenate(found).mean()), 3) for found in gains.values()]
    assert means == [0.038, 0.065, 0.077]


def test_popularity_counts_inside_its_window_and_leaves_out_what_was_seen() -> None:
    times = np.array([0, 10, 20, 30, 40])
    keys = np.array([5, 5, 7, 6, 6], np.uint64)
    log = Interactions(np.array([0, 1, 0, 1, 2]), keys, times, ("a", "b", "c"))
    assert popularity.most_popular(log, 50, None).tolist() == [5, 6, 7]
    assert popularity.most_popular(log, 40, 25).tolist() == [6, 7]
    assert popularity.most_popular(log, 40, 10).tolist() == [6]
    assert popularity.without(np.array([5, 6, 7], np.uint64), np.array([6], np.uint64), 1).tolist() == [5]
