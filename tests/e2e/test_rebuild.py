"""The online state made anew while the system serves: the same state, no failed answer, every record counted once."""

import threading

import pytest

from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.digest import ViewDigest, digest_view
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

VIEWS = {"user_profile": "user_id", "user_seen": "user_id", "item_stats": "item_id", "item_content": "item_id"}


def digests(system: System) -> dict[str, ViewDigest]:
    environ = system.environ
    lake, views = Lake(environ["SNOWMELT_LAKE_URL"]), CompiledViews.load(environ["SNOWMELT_VIEWS_PATH"])
    store = StateStore(environ["SNOWMELT_REDIS_URL"], views)
    found: dict[str, ViewDigest] = {}
    for name, column in VIEWS.items():
        table = "catalog" if column == "item_id" else "events"
        entities = sorted({e for e in lake.read(table, columns=[column])[column].to_pylist() if e})
        states = zip(entities, store.read(name, entities), strict=True)
        found[name] = digest_view(views.views[name], [(e, s) for e, s in states if s is not None])
    store.close()
    return found


def test_a_rebuild_gives_the_same_state_while_the_system_serves(system: System) -> None:
    def settled() -> bool:
        said = system.verb("status", "--json")
        return all(f["balanced"] and f["behind_events"] == 0 for f in said["flows"])  # type: ignore[attr-defined]

    eventually(settled, 20.0, "records are still on their way")
    before = digests(system)
    events = Lake(system.environ["SNOWMELT_LAKE_URL"]).read("events", columns=["user_id"])
    user = min(u for u in events["user_id"].to_pylist() if u)
    done, answers = threading.Event(), []

    def ask() -> None:
        with system.client() as client:
            while not done.is_set():
                answers.append(client.user_state(user))

    asking = threading.Thread(target=ask)
    asking.start()
    said = system.verb("rebuild", "online", "--json")
    done.set()
    asking.join()
    assert str(said["generation"]).startswith("2-")
    assert answers
    assert all(answer.known and answer.seen_items == answers[0].seen_items for answer in answers)
    after = digests(system)
    assert all(after[name].agrees(before[name]) for name in VIEWS)
    with system.client() as client:
        assert client.recommend("rebuilt", k=5, timeout_ms=5000).items
    eventually(settled, 20.0, "not every record is accounted for after the rebuild")
