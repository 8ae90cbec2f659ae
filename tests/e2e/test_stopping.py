"""Stopped, in the middle of loading and after it, and started again: no event is missing, none is there twice."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.contracts.topics import CATALOG, EVENTS, USERS
from snowmelt.datasets.simulated import simulate
from snowmelt.embedded.lanes import Lanes
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from snowmelt.runtime.config import Settings
from tests.e2e.conftest import POSITIVES, READY_S, System, dated, eventually, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
LOADED = (CATALOG, USERS, EVENTS)


def test_a_load_that_was_stopped_goes_on_where_it_ended_and_a_finished_one_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, state = tmp_path / "shop", tmp_path / "state"
    shop.mkdir()
    data = simulate(seed=11, users=2_400, items=300, days=100)
    pq.write_table(dated(data.catalogue), shop / "catalogue.parquet")
    pq.write_table(_anonymous(dated(data.events)), shop / "events.parquet")
    total = len(data.events)

    first = start(state, shop)
    eventually(lambda: _landed(state) > 0, READY_S, "nothing landed")
    assert first.stop() == 0, first.log.read_text()
    between = _landed(state)
    assert 0 < between < total, "it was not stopped in the middle"

    second = start(state, shop)
    eventually(lambda: _finished(second), READY_S, "the load did not go on")
    applied, produced = _applied(second), _produced(second)
    assert second.stop() == 0, second.log.read_text()
    ids = Lake(str(state / "lake")).read("events", columns=["event_id"])["event_id"]
    assert len(ids) == total
    assert len(pc.unique(ids)) == total
    assert applied == total

    other = start(state, tmp_path)
    assert other.process.wait(READY_S) == ExitCode.BAD_DATA
    assert f"{state} holds shop ({shop}), not {tmp_path}: leave out DATA" in other.log.read_text()

    # Nothing of it is a choice: a release cannot be learned, and everybody gets answers all the same.
    monkeypatch.setenv(POSITIVES, "rating>=1000")
    third = start(state, shop)
    eventually(lambda: _ready(third), READY_S, third.log.read_text)
    said = third.log.read_text()
    assert "shop: loaded before, and not read again" in said
    assert "no release is active: the answers are popular items" in said
    assert "there is nothing to learn from" in said
    assert "too little to learn from" in said
    assert re.search(r"recommend --session \S+\n", said)
    assert _produced(third) == produced
    assert third.stop() == 0, third.log.read_text()


def _anonymous(events: pa.Table) -> pa.Table:
    """The same events, of sessions instead of users."""
    sessions = events["user_id"]
    return events.drop_columns(["user_id", "session_id"]).append_column("session_id", sessions)


def _ready(system: System) -> bool:
    assert system.process.poll() is None, system.log.read_text()
    return "Ctrl-C" in system.log.read_text()


def _produced(system: System) -> dict[str, int]:
    """How many records each topic of a data set was ever given."""
    lanes = Lanes(Settings.load(system.environ))
    try:
        return {flow.topic: flow.produced for flow in lanes.flows() if flow.topic in LOADED}
    finally:
        lanes.close()


def _landed(state: Path) -> int:
    try:
        return Lake(str(state / "lake")).rows("events")
    except SnowmeltError:
        return 0


def _finished(system: System) -> bool:
    assert system.process.poll() is None, system.log.read_text()
    return bool(system.home.data_set().get("finished"))


def _applied(system: System) -> int:
    """Events that the online store has counted, in the writes that applied them."""
    environ = system.environ
    store = StateStore(environ["SNOWMELT_REDIS_URL"], CompiledViews.load(environ["SNOWMELT_VIEWS_PATH"]))
    try:
        return store.fence_table.counters()[EVENTS].applied
    finally:
        store.close()
