"""Stopped in the middle of loading and started again: no event is missing, none is there twice."""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.datasets.simulated import simulate
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from tests.e2e.conftest import READY_S, System, dated, eventually, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_load_that_was_stopped_goes_on_where_it_ended(tmp_path: Path) -> None:
    shop, state = tmp_path / "shop", tmp_path / "state"
    shop.mkdir()
    data = simulate(seed=11, users=2_400, items=300, days=100)
    pq.write_table(dated(data.catalogue), shop / "catalogue.parquet")
    pq.write_table(dated(data.events), shop / "events.parquet")
    total = len(data.events)

    first = start(state, shop)
    eventually(lambda: _landed(state) > 0, READY_S, "nothing landed")
    assert first.stop() == 0, first.log.read_text()
    between = _landed(state)
    assert 0 < between < total, "it was not stopped in the middle"

    second = start(state, shop)
    eventually(lambda: _finished(second), READY_S, "the load did not go on")
    applied = _applied(second)
    assert second.stop() == 0, second.log.read_text()
    ids = Lake(str(state / "lake")).read("events", columns=["event_id"])["event_id"]
    assert len(ids) == total
    assert len(pc.unique(ids)) == total
    assert applied == total


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
