"""A rebuild is the lake's fold whatever the portions; killed, overtaken or emptied under its hands it harms nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from services.ingest.batch import batch_of
from services.ingest.decode import decode
from snowmelt.chaos.bad_records import good
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore import claim as claims
from snowmelt.featurestore import folding, names
from snowmelt.featurestore.claim import Claim
from snowmelt.featurestore.digest import digest_view
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.rebuild import rebuild_online
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake, Range
from snowmelt.runtime.kafka.consumer import Records
from tests.fixtures.views import EVENT_TYPES

pytestmark = pytest.mark.redis
VIEWS = default_views()
COUNTS = {EVENTS: 2000, IMPRESSIONS: 200, CATALOG: 200}
KILLED = """
import os, signal, sys
from snowmelt.features.defaults import default_views
from snowmelt.featurestore.rebuild import rebuild_online
def progress(stage, done, total):
    if stage.startswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
rebuild_online(sys.argv[1], sys.argv[2], default_views(), progress)
"""


def silent(stage: str, done: int, total: int) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(str(tmp_path_factory.mktemp("rebuild") / "lake"))
    made.create()
    for topic, count in COUNTS.items():
        for partition in range(2):
            sent = [good(topic, number) for number in range(partition, count, 2)]
            numbers = list(range(len(sent)))
            times, keys, values = ([getattr(s, name) for s in sent] for name in ("time_ms", "key", "value"))
            records = Records(topic, partition, numbers, times, keys, values, [None] * len(sent))
            decoded = decode(batch_of([records], {(topic, partition): 0}), "one", EVENT_TYPES)
            assert not decoded.verdicts
            made.append(TOPIC_TABLES[topic], decoded.rows, [Range("one", topic, partition, 0, len(sent))])
    return made


@pytest.fixture(scope="module")
def expected(lake: Lake) -> dict[str, dict[str, bytes]]:
    """Each topic folded whole, then merged."""
    found: dict[str, dict[str, bytes]] = {name: {} for name in VIEWS.views}
    for topic in FEATURE_TOPICS:
        table = lake.read(TOPIC_TABLES[topic])
        make = {EVENTS: Rows.from_arrow_events, IMPRESSIONS: Rows.from_arrow_impressions}.get(topic)
        rows = make(table, VIEWS) if make else Rows.from_arrow_catalog(table)
        for name, view in VIEWS.views.items():
            folded = view.fold(rows)
            for entity, state in zip(folded.entities, folded.states, strict=True):
                found[name][entity] = view.merge(found[name].get(entity), state)
    return found


def check(url: str, expected: dict[str, dict[str, bytes]]) -> StateStore:
    store = StateStore(url, VIEWS)
    for name, view in VIEWS.views.items():
        entities = sorted(expected[name])
        states = zip(entities, store.read(name, entities), strict=True)
        known = digest_view(view, [(e, s) for e, s in states if s is not None])
        assert known.agrees(digest_view(view, sorted(expected[name].items()))), name
        logged = [
            e.decode() if isinstance(e, bytes) else e
            for b in names.all_buckets()
            for e in store.client.zrange(names.changes(store.tenant, b, store.generation, name), 0, -1)
        ]
        assert sorted(logged) == entities
    for topic, count in COUNTS.items():
        counters = store.fence_table.counters()[topic]
        assert (counters.applied, counters.duplicates, counters.dead) == (count, 0, 0)
        assert counters.next_offsets == {Partition("one", topic, p): count // 2 for p in range(2)}
    return store


def generations(store: StateStore) -> set[str]:
    keys = (key for key in store.client.scan_iter(match="{*}/*", count=10_000))
    return {names.generation_of(key) for key in keys if isinstance(key, bytes)}


def test_a_rebuild_is_the_fold_of_the_lake_and_removes_what_was_before(
    redis_url: str, lake: Lake, expected: dict[str, dict[str, bytes]]
) -> None:
    stages: dict[str, tuple[int, int]] = {}
    first = rebuild_online(lake.url, redis_url, VIEWS, lambda stage, *done: stages.update({stage: done}))
    store = check(redis_url, expected)
    assert generations(store) == {first}
    assert {EVENTS, "states of users", "states of items", "old state"} <= stages.keys()
    assert all(done == total for done, total in stages.values())
    second = rebuild_online(lake.url, redis_url, VIEWS, silent)
    assert int(second.partition("-")[0]) == int(first.partition("-")[0]) + 1
    assert generations(check(redis_url, expected)) == {second}


@pytest.mark.parametrize(("held", "unit", "read"), [(700, 200, 500), (5000, 20, 10_000), (500, 60, 400)])
def test_small_portions_give_the_same(
    redis_url: str, lake: Lake, expected: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, held: int,
    unit: int, read: int,
) -> None:  # fmt: skip
    for name, rows in (("PASS_ROWS", held), ("UNIT_ROWS", unit), ("READ_ROWS", read)):
        monkeypatch.setattr(folding, name, rows)
    rebuild_online(lake.url, redis_url, VIEWS, silent)
    check(redis_url, expected)


@pytest.mark.parametrize("stage", ["states of items", "old state"])
def test_one_that_was_killed_leaves_nothing_live_and_the_next_cleans_up(
    redis_url: str, lake: Lake, expected: dict[str, dict[str, bytes]], stage: str
) -> None:
    first = rebuild_online(lake.url, redis_url, VIEWS, silent)
    command = [sys.executable, "-c", KILLED, lake.url, redis_url, stage]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    store = check(redis_url, expected)
    switched = stage == "old state"
    assert (store.generation != first) is switched
    with pytest.raises(SnowmeltError, match="another rebuild") as refused:
        rebuild_online(lake.url, redis_url, VIEWS, silent)
    assert refused.value.reason is Reason.UNAVAILABLE
    assert 0 < store.client.ttl(names.REBUILD) <= claims.CLAIM_S
    store.client.expire(names.REBUILD, 1)
    deadline = time.monotonic() + 20
    while store.client.exists(names.REBUILD):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    last = rebuild_online(lake.url, redis_url, VIEWS, silent)
    assert generations(check(redis_url, expected)) == {last}


def test_a_claim_is_kept_as_long_as_its_holder_lives(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "CLAIM_S", 1)
    monkeypatch.setattr(claims, "RENEW_S", 0.2)
    client = StateStore(redis_url, VIEWS).client
    with Claim(client):
        ends = time.monotonic() + 2.5
        while time.monotonic() < ends:
            assert client.exists(names.REBUILD)
            time.sleep(0.05)
    assert not client.exists(names.REBUILD)


@pytest.fixture
def overtaken(redis_url: str, lake: Lake) -> Iterator[tuple[Claim, str, str]]:
    """A claim that lapsed while its holder stood still, its generation, and that of a rebuild that ran since."""
    store = StateStore(redis_url, VIEWS)
    with Claim(store.client) as sleeper:
        sleeping = sleeper.next_generation(VIEWS.hash)
        store.client.delete(names.REBUILD)
        yield sleeper, sleeping, rebuild_online(lake.url, redis_url, VIEWS, silent)


def test_a_rebuild_that_was_overtaken_switches_and_removes_nothing(
    redis_url: str, overtaken: tuple[Claim, str, str], expected: dict[str, dict[str, bytes]]
) -> None:
    sleeper, sleeping, live = overtaken
    assert sleeping != live
    with pytest.raises(SnowmeltError, match="run it again"):
        sleeper.switch(sleeping)
    with pytest.raises(SnowmeltError, match="run it again"):
        sleeper.write(lambda pipeline: pipeline.set("written", 1))
    store = check(redis_url, expected)
    assert store.generation == live
    assert not store.client.exists("written")
    store.client.set(names.POINTER, "9-nobody")
    with pytest.raises(SnowmeltError, match="another rebuild has begun"):
        sleeper.remove_before("99-later", lambda *_: None)
    store.client.set(names.POINTER, live)
    check(redis_url, expected)


@pytest.mark.parametrize("fault", ["flush", "restart"])
def test_a_store_that_lost_what_was_written_is_not_switched_to(
    redis_server, lake: Lake, expected: dict[str, dict[str, bytes]], fault: str
) -> None:
    server = redis_server()

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "states of items" and done == total:
            if fault == "flush":
                StateStore(server.url, VIEWS).client.flushall()
            else:
                os.kill(server._process.pid, signal.SIGKILL)
                server._process.wait(20)
                server.start()

    with pytest.raises(SnowmeltError, match="run it again"):
        rebuild_online(lake.url, server.url, VIEWS, progress)
    assert StateStore(server.url, VIEWS).current_generation() in (None, f"1-{VIEWS.hash[:12]}")
    StateStore(server.url, VIEWS).client.delete(names.REBUILD)
    rebuild_online(lake.url, server.url, VIEWS, silent)
    check(server.url, expected)
