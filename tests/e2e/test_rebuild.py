"""The online state made anew while the system serves and events flow: no failed answer, every record counted once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.chaos.states import Recomputation
from snowmelt.client import Client
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def asked(system: System, done: threading.Event, ask: Callable[[Client, int], Any]) -> list[Any]:
    """What ``ask`` was answered, again and again until it is done."""
    answers: list[Any] = []
    with system.client() as client:
        while not done.is_set():
            answers.append(ask(client, len(answers)))
    return answers


def test_a_rebuild_gives_the_same_state_while_the_system_serves(system: System) -> None:
    def settled() -> bool:
        said = system.status()  # not ready while the lane goes over to the other state
        return bool(said["ready"]) and all(f["balanced"] and f["behind_events"] == 0 for f in said["flows"])  # type: ignore[attr-defined]

    lake = Lake(system.environ["SNOWMELT_LAKE_URL"])
    events = lake.read("events", columns=["user_id", "item_id"]).to_pylist()
    user, item = next((row["user_id"], row["item_id"]) for row in events if row["user_id"])

    def record(client: Client, number: int) -> Any:
        event = Event(event_id=f"while-rebuilt-{number}", user_id=f"rebuilt-{number % 7}", item_id=item, type="click")
        return client.record([event])

    done = threading.Event()
    with ThreadPoolExecutor() as pool:
        states = pool.submit(asked, system, done, lambda client, _: client.user_state(user))
        slates = pool.submit(asked, system, done, lambda client, _: client.recommend(user, k=5, timeout_ms=5000))
        recorded = pool.submit(asked, system, done, record)
        try:
            said = system.verb("rebuild", "online", "--json")
        finally:
            done.set()
    assert str(said["generation"]).startswith("2-")
    seen = [(answer.known, answer.seen_items) for answer in states.result()]
    assert set(seen) == {(True, seen[0][1])}
    assert all(len(slate.items) == 5 and not slate.degraded for slate in slates.result())
    assert recorded.result()

    eventually(settled, 30.0, "not every record is accounted for after the rebuild")
    store = StateStore(system.environ["SNOWMELT_REDIS_URL"], CompiledViews.load(system.environ["SNOWMELT_VIEWS_PATH"]))
    anew = Recomputation(lake, store)
    landed = anew.catch_up()
    assert landed["snowmelt.events"] == len(events) + len(recorded.result())
    assert landed["snowmelt.impressions"] >= len(slates.result())
    assert anew.differing() == []
    assert store.generation == said["generation"]
    store.close()
