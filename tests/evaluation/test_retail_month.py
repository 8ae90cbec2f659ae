"""The protocol: the baselines' known figures, and whole runs on a planted shop, by the command and against leaks."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from snowmelt.cli.evaluate import app
from snowmelt.contracts.clock import DAY_MS
from snowmelt.datasets import retail
from snowmelt.datasets.data_set import DataSet
from snowmelt.datasets.rows import catalogue_rows, event_rows
from snowmelt.evaluation import metrics, popularity, report
from snowmelt.evaluation.retail_month import BASELINES, OURS, PLACES, RETRIEVAL, TEST_MONTHS, Month, run
from snowmelt.features.defaults import default_views
from snowmelt.ranking.trees import TreeParams
from snowmelt.training.config import TrainingConfig
from snowmelt.training.interactions import Interactions
from snowmelt.training.labels import choices, first_touches, parse_rules
from snowmelt.training.past import Past
from snowmelt.training.queries import over_window
from tests.evaluation.planted import write

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


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("planted") / "retail.parquet")


def test_the_command_finds_the_planted_pattern(planted: Path) -> None:
    done = CliRunner().invoke(app, ["retail-month", "--data", str(planted), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["months"] == list(TEST_MONTHS)
    assert document["queries"] > 100
    # That users keep to a kind is found by retrieval; that they keep to a price, by the trees alone.
    assert all(document["snowmelt_minus"][method]["low"] > 0.1 for method in BASELINES)
    assert document["snowmelt_minus"][RETRIEVAL]["low"] > 0.02
    assert all(found[OURS] > found["popularity, 7 days"] for found in _by_slice(document, "user history"))
    text = "\n".join(report.lines(document))
    assert all(method in text for method in document["methods"])
    assert "snowmelt - popularity, 7 days: +" in text


def _by_slice(
    document: dict[str, dict[str, dict[str, dict[str, dict[str, float]]]]], name: str
) -> list[dict[str, float]]:
    return [found["ndcg_at_10"] for found in document["slices"][name].values() if found["ndcg_at_10"]]


def test_what_happens_within_a_month_changes_no_slate_of_it(planted: Path) -> None:
    shop = retail.load(planted)
    start_ms = np.datetime64(TEST_MONTHS[0]).astype("datetime64[ms]").astype(int)
    mine, theirs = (month_of(shop, events) for events in (shop.events, other_future(shop.events, start_ms)))
    users = set(mine.queries.entities) & set(theirs.queries.entities)
    assert len(users) > 30
    for method in mine.lists:
        first, second = by_user(mine, mine.lists[method]), by_user(theirs, theirs.lists[method])
        assert [first[user] for user in users] == [second[user] for user in users], method
    assert by_user(mine, mine.queries.truths) != by_user(theirs, theirs.queries.truths)


def other_future(events: pa.Table, start_ms: int) -> pa.Table:
    """From an instant on the same users come at the same times, but for one another's items."""
    later = pc.greater_equal(events["event_time_ms"], start_ms)
    before, after = events.filter(pc.invert(later)), events.filter(later)
    shuffled = after.take(np.random.default_rng(3).permutation(len(after)))
    for name in ("item_id", "categories", "price"):
        after = after.set_column(after.column_names.index(name), after.schema.field(name), shuffled[name])
    return pa.concat_tables([before, after])


def month_of(shop: DataSet, events: pa.Table) -> Month:
    """The first test month by a quick configuration."""
    views, quick = default_views(), TrainingConfig(candidates=60, negatives=30, trees=TreeParams(rounds=20))
    past = Past(views, event_rows(replace(shop, events=events), views), None, catalogue_rows(shop))
    rules = parse_rules(retail.EVENT_TYPE, views.event_types)
    touches, bought = (find(past.events, rules, views.event_types) for find in (first_touches, choices))
    (made,) = run(past, touches, bought, TEST_MONTHS[:1], lambda *_: None, config=quick)
    return made


def by_user(month: Month, values: list[np.ndarray]) -> dict[str, list[int]]:
    return {user: keys.tolist() for user, keys in zip(month.queries.entities, values, strict=True)}
