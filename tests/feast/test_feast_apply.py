"""``feast apply``: what it leaves, what it refuses, and how one more line becomes a feature everywhere."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast.errors import PushSourceNotFoundException

from services.trainer.adapters.lake import LakeHistory
from snowmelt.contracts.clock import MINUTE_MS
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.features.defaults import default_views
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.feast_pins import pinned
from snowmelt.featurestore.rebuild import rebuild_online
from snowmelt.lake import Lake
from tests.feast.conftest import STATE, copy_repository, feast_apply, feast_apply_in_turn
from tests.feast.lanes import START_MS, Lanes, make_cycles
from tests.feast.matrix import ranker_column, user_column

STEP_MS = 20 * MINUTE_MS
LINE = """\
    Aggregation(name="best_rating_7d", column="rating.value", function="max", time_window=7 * DAY, slide_interval=HOUR),
"""
ANCHOR = "ITEM_STATS = [\n"
USER_LINE = """\
    Aggregation(name="best_given_7d", column="rating.value", function="max", time_window=7 * DAY, slide_interval=HOUR),
"""
USER_ANCHOR = "USER_PROFILE = [\n"


def test_the_default_views_are_those_of_the_repository(views):
    assert views.dumps() == default_views().dumps(), "run `make views`"


REFUSED = [
    ('function="distinct"', 'function="distnct"', "did you mean 'distinct'"),
    ("slide_interval=HOUR)", "slide_interval=timedelta(minutes=7))", "is no multiple of its hop of 0:07:00"),
    ('EVENT_TYPES = "view,click', 'EVENT_TYPES = "click,view', "append only"),
    ('name="price_level"', 'name="price_liked"', "read price_level (float32) of it: put the line back"),
    (
        'Aggregation(name="first_upsert"',
        'Aggregation(name="upserted"',
        "first_upsert (float64) of it: put the line",
    ),
    ("user_seen = view(", "user_saw = lambda *_: None  # view(", "user_seen: the services read this view: put it back"),
]


def test_what_cannot_be_computed_is_refused_in_one_clear_line(applied, tmp_path):
    before, repos = (applied.parent / STATE / "views.json").read_text(), []
    for number, (was, becomes, _) in enumerate(REFUSED):
        repo = copy_repository(tmp_path / str(number))
        (repo.parent / STATE).mkdir()
        (repo.parent / STATE / "views.json").write_text(before)
        text = (repo / "features.py").read_text()
        assert was in text
        (repo / "features.py").write_text(text.replace(was, becomes))
        repos.append(repo)
    for repo, (_, _, said), (code, stderr) in zip(repos, REFUSED, feast_apply_in_turn(repos), strict=True):
        last = stderr.strip().splitlines()[-1]
        assert code != 0
        assert "SnowmeltError: invalid_field" in last
        assert said in last
        assert (repo.parent / STATE / "views.json").read_text() == before


def test_writes_from_the_side_are_refused_with_what_to_do(lanes, open_store):
    lanes.write(make_cycles(1, 50, 5, 5, STEP_MS)[0])
    store = open_store()
    row = {f.name: [1.0] for f in store.get_stream_feature_view("item_stats").features}
    frame = pd.DataFrame({"item_id": ["item-0"], "event_time": [pd.Timestamp.now("UTC")], **row})
    digest = lanes.store.read("item_stats", ["item-0"])
    for write in (
        lambda: store.write_to_online_store("item_stats", frame),
        lambda: store.materialize(datetime(2020, 1, 1), datetime(2030, 1, 1), ["item_stats"]),  # noqa: DTZ001
        lambda: store.materialize_incremental(datetime(2030, 1, 1), ["item_stats"]),  # noqa: DTZ001
    ):
        with pytest.raises(SnowmeltError, match=r"refused for the stream feature view item_stats.*Send events"):
            write()
    with pytest.raises(PushSourceNotFoundException, match="item_events"):  # a stream view has none to push to
        store.push("item_events", frame)
    assert lanes.store.read("item_stats", ["item-0"]) == digest
    with pinned(as_of_ms=START_MS + STEP_MS):
        assert store.get_online_features(["item_stats:views_1d"], [{"item_id": "item-0"}]).to_dict()


def test_one_more_line_is_a_feature_online_historically_and_of_the_ranker(tmp_path, redis_url, open_store, views):
    """Add a line, apply, rebuild: nothing else is touched."""
    cycles = make_cycles(3, 200, 20, 10, STEP_MS)
    old = Lanes(redis_url, str(tmp_path / "lake"), views)
    old.write_catalog(10)
    for cycle in cycles:
        old.write(cycle)
    repo = copy_repository(tmp_path)
    text = (repo / "features.py").read_text()
    (repo / "features.py").write_text(text.replace(ANCHOR, ANCHOR + LINE).replace(USER_ANCHOR, USER_ANCHOR + USER_LINE))
    done = feast_apply(repo)
    assert done.returncode == 0, done.stderr
    fresh = CompiledViews.load(tmp_path / STATE / "views.json")
    assert fresh.hash != views.hash
    store = open_store(repo)
    asked = {"item_id": [f"item-{i}" for i in range(10)]}
    end_ms = START_MS + 3 * STEP_MS
    with pytest.raises(SnowmeltError, match="snowmelt rebuild online"), pinned(as_of_ms=end_ms):
        store.get_online_features(["item_stats:best_rating_7d"], asked)
    rebuild_online(str(tmp_path / "lake"), redis_url, fresh, lambda *_: None)
    with pinned(as_of_ms=end_ms):
        online = store.get_online_features(["item_stats:best_rating_7d", "item_stats:views_1d"], asked).to_df()
    frame = pd.DataFrame({**asked, "event_timestamp": pd.Timestamp(end_ms, unit="ms", tz="UTC")})
    history = store.get_historical_features(frame, ["item_stats:best_rating_7d", "item_stats:views_1d"]).to_df()
    best = {}
    for event in (e for c in cycles for e in c.events if e.type == "rating"):
        best[event.item_id] = max(best.get(event.item_id, 0.0), event.value)
    expected = [best.get(i, np.nan) for i in asked["item_id"]]
    np.testing.assert_array_equal(online["best_rating_7d"], expected)
    np.testing.assert_array_equal(history["best_rating_7d"], expected)
    np.testing.assert_array_equal(history["views_1d"], online["views_1d"])
    np.testing.assert_array_equal(ranker_column("best_rating_7d", redis_url, fresh, asked["item_id"], end_ms), expected)
    # A line of a user's view likewise.
    given = {}
    for event in (e for c in cycles for e in c.events if e.type == "rating"):
        given[event.user_id] = max(given.get(event.user_id, 0.0), event.value)
    whom = {"user_id": [f"user-{i}" for i in range(20)]}
    expected = [given.get(i, np.nan) for i in whom["user_id"]]
    assert given
    with pinned(as_of_ms=end_ms):
        online = store.get_online_features(["user_profile:best_given_7d"], whom).to_df()
    frame = pd.DataFrame({**whom, "event_timestamp": pd.Timestamp(end_ms, unit="ms", tz="UTC")})
    history = store.get_historical_features(frame, ["user_profile:best_given_7d"]).to_df()
    np.testing.assert_array_equal(online["best_given_7d"], expected)
    np.testing.assert_array_equal(history["best_given_7d"], expected)
    np.testing.assert_array_equal(user_column("best_given_7d", redis_url, fresh, whom["user_id"], end_ms), expected)
    past, _ = LakeHistory(Lake(str(tmp_path / "lake")), fresh).read()
    joined = past.states(whom["user_id"], np.full(len(whom["user_id"]), end_ms))
    np.testing.assert_array_equal([state.numbers["best_given_7d"] for state in joined], expected)


def test_an_ordinary_view_is_kept_beside_the_streams(open_store, lanes, applied):
    from feast import FeatureView, Field, PushSource
    from feast.types import Float32

    store = open_store()
    source = PushSource(name="prices", batch_source=store.get_data_source("catalog"))
    view = FeatureView(
        name="prices", entities=[store.get_entity("item")], source=source, schema=[Field(name="p", dtype=Float32)]
    )
    before = (applied.parent / STATE / "registry.db").read_bytes()
    try:
        store.apply([source, view])
        frame = pd.DataFrame({"item_id": ["item-0"], "event_time": [pd.Timestamp.now("UTC")], "p": [2.5]})
        store.push("prices", frame)
        lanes.write(make_cycles(1, 50, 5, 3, STEP_MS)[0])
        with pinned(as_of_ms=START_MS + STEP_MS):
            answer = store.get_online_features(["prices:p", "item_stats:interactions_1d"], [{"item_id": "item-0"}])
        values = answer.to_dict()
        assert values["p"] == [2.5]
        assert values["interactions_1d"][0] > 0
        assert CompiledViews.load(applied.parent / STATE / "views.json").hash == lanes.views.hash
    finally:
        (applied.parent / STATE / "registry.db").write_bytes(before)


def test_the_command_line_lists_shows_and_compiles(applied):
    environ = {**os.environ, "SNOWMELT_STATE_DIR": str(applied.parent / STATE)}

    def run(*argv: str) -> str:
        command = [sys.executable, "-m", "snowmelt.cli.main", "features", *argv]
        done = subprocess.run(
            command, env=environ, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(run("list", "--json"))
    assert listed["hash"] == default_views().hash
    assert {"purchases_7d", "recent_items", "content"} <= {f["feature"] for f in listed["features"]}
    assert "tiles of purchase (hop 1h, keeps 673 tiles)" in run("show", "purchases_7d")
    assert json.loads(run("compile", "--repo", str(applied), "--json"))["hash"] == listed["hash"]
