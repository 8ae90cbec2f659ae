"""Measures ``get_online_features``: our store beside Feast's stock Redis store, on the same server.

Both are held to values that are counted from the events by themselves: those are what Feast's store is filled with.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32

from snowmelt.api.events.v1.events_pb2 import CatalogChange, ItemUpsert
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS, DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore import feast_bench_events
from snowmelt.featurestore.feast_bench_events import END_MS, FEATURES, as_dict, cells_different, counted
from snowmelt.featurestore.feast_pins import pinned
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.store import BucketWrite, PartitionRange, StateStore

VIEW = "item_stats"
REFERENCES = [f"{VIEW}:{name}" for name in FEATURES]
UPSERT = "first_upsert"
"""Of the view item_content: absent where an item has no content, while a count of nothing is 0."""
ABSENT = 20
"""One of so many items that are asked for has no state; of the others one of so many has no content."""
LATER_MS = 70 * 60_000
"""When values are looked at again: the windows of an hour have fallen, without an event."""
SERVICE_STEP_MS = 20
"""About what lies between two answers of a busy ranker."""
DAYS = 28
"""After which the windows of all items are empty, and nothing would be left to finish."""
REPLICA_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class OnlineCase:
    """How many entities a request asks for, the ratio that must be reached, and how often a block asks."""

    entities: int
    floor: float
    calls: int


CASES = (OnlineCase(500, 15.0, 20), OnlineCase(50, 6.0, 60), OnlineCase(1, 1.2, 200))


def bench_online(
    repo: Path, folder: Path, redis_url: str, *, items: int, events: int, blocks: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """``online``: one record a case and form, median milliseconds of both stores and their ratio; ``replica``: one a
    case; ``values``: how many cells of all features of all items are not what is counted. Each says how many differ.

    Args:
        repo: the feature repository.
        folder: an empty one, for registries and compiled views.
        redis_url: an empty Redis; database 0 is ours, 1 is Feast's.
        items, events: how many; the events are of 28 days, the items' shares uneven.
        blocks: each store is measured so many times in turn: Feast's cache of resolved requests is one a process and is
            emptied where two stores alternate, so calls come in blocks, each after a call that is not counted.
        say: told what is done next.

    Raises:
        SnowmeltError: INVALID_FIELD where ``feast apply`` fails; UNAVAILABLE where the replica does not follow.
    """
    rows = feast_bench_events.events(items, events)
    with _environment(folder, redis_url):
        say("feast apply")
        _apply(repo)
        say(f"state of {items} items out of {events} events")
        views = CompiledViews.load(folder / "views.json")
        known, upserts = _write_state(redis_url, views, rows)
        names = [*known, *(f"absent-{number}" for number in range(len(known) // ABSENT))]
        ours = FeatureStore(repo_path=str(repo))
        stock = _stock_store(folder / "stock", redis_url, counted(rows, names, END_MS))
        samples = {case: _sample(names, len(known), case.entities) for case in CASES}
        with pinned(as_of_ms=END_MS):
            online = [
                _measure(case, form, ours, stock, sample, blocks, say)
                for case, sample in samples.items()
                for form in ("to_dict", "to_df")
            ]
        values = _values(ours, rows, names, upserts)
        return {"online": online, "replica": _measure_replica(redis_url, views, rows, samples, say), "values": values}


def _sample(names: Sequence[str], known: int, size: int) -> list[str]:
    """So many different names, of which those without state have their share."""
    random = np.random.default_rng(size)
    places = [random.choice(known, size - size // ABSENT, replace=False)]
    places.append(random.choice(np.arange(known, len(names)), size // ABSENT, replace=False))
    return [names[place] for place in random.permutation(np.concatenate(places))]


def _values(ours: FeatureStore, rows: pa.Table, names: list[str], upserts: Mapping[str, int]) -> dict[str, int]:
    """Every item in both forms, when the last event has come and later, beside what is counted."""
    asked, columns = [*REFERENCES, f"item_content:{UPSERT}"], [*FEATURES, UPSERT]
    different = cells = 0
    for as_of_ms in (END_MS, END_MS + LATER_MS):
        expected = counted(rows, names, as_of_ms).assign(**{UPSERT: [upserts.get(name, np.nan) for name in names]})
        with pinned(as_of_ms=as_of_ms):
            answer = ours.get_online_features(asked, {"item_id": names})
        different += cells_different(answer.to_dict(), as_dict(expected), columns)
        different += cells_different(answer.to_df(), expected, columns)
        cells += 2 * len(names) * len(columns)
    return {"entities": len(names), "features": len(columns), "cells": cells, "cells_different": different}


def _measure(  # noqa: PLR0917
    case: OnlineCase,
    form: str,
    ours: FeatureStore,
    stock: FeatureStore,
    names: list[str],
    blocks: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    say(f"{case.entities} entities, {form}")
    asked = {"item_id": names}
    runs: dict[str, list[float]] = {"ours": [], "stock": []}
    answers: dict[str, Any] = {}
    for _ in range(blocks):
        for name, store in (("stock", stock), ("ours", ours)):
            store.get_online_features(REFERENCES, asked)
            for _ in range(case.calls):
                start = time.perf_counter()
                answers[name] = getattr(store.get_online_features(REFERENCES, asked), form)()
                runs[name].append(time.perf_counter() - start)
    ours_ms, stock_ms = (float(np.median(runs[name])) * 1e3 for name in ("ours", "stock"))
    return {
        "entities": case.entities,
        "features": len(FEATURES),
        "form": form,
        "ours_ms": ours_ms,
        "feast_redis_ms": stock_ms,
        "ours_p99_ms": float(np.quantile(runs["ours"], 0.99)) * 1e3,
        "feast_redis_p99_ms": float(np.quantile(runs["stock"], 0.99)) * 1e3,
        "ratio": stock_ms / ours_ms,
        "floor": case.floor,
        "calls": len(runs["ours"]),
        "cells": case.entities * len(FEATURES),
        "cells_different": cells_different(answers["ours"], answers["stock"]),
    }


def _measure_replica(
    redis_url: str,
    views: CompiledViews,
    rows: pa.Table,
    samples: Mapping[OnlineCase, list[str]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """The same features of the same items as the ranker reads them: in process, out of the replica."""
    say("the same read through the replica")
    replica = ItemReplica(redis_url, LiveViews(views))
    replica.start()
    try:
        deadline = time.monotonic() + REPLICA_TIMEOUT_S
        while replica.age_ms() is None:
            if time.monotonic() > deadline:
                detail = f"the replica has not read the store within {REPLICA_TIMEOUT_S:.0f} s"
                raise SnowmeltError(Reason.UNAVAILABLE, detail)
            time.sleep(0.05)
        return [_replica_case(case, replica, rows, sample) for case, sample in samples.items()]
    finally:
        replica.stop()


def _replica_case(case: OnlineCase, replica: ItemReplica, rows: pa.Table, names: list[str]) -> dict[str, Any]:
    """``ours_ms``: the instant moves on between calls as in a service, where most of what was finished still stands.

    ``anew_ms``: it moves on by a day, so that windows have fallen and nearly every state is finished anew, as all are
    that changed, and some at each end of a tile.
    """
    keys = item_keys(DEFAULT_TENANT, names)
    later_ms = {
        "ours_ms": [SERVICE_STEP_MS * (1 + call) for call in range(case.calls)],
        "anew_ms": [DAY_MS * (1 + call % DAYS) for call in range(case.calls)],
    }
    different, median_ms = 0, {}
    for name, instants in later_ms.items():
        replica.statistics(keys, END_MS)
        runs = []
        for as_of_ms in (END_MS + each for each in instants):
            start = time.perf_counter()
            found = replica.statistics(keys, as_of_ms)
            runs.append(time.perf_counter() - start)
        median_ms[name] = float(np.median(runs)) * 1e3
        different += cells_different({"item_id": names, **found}, counted(rows, names, as_of_ms))
    return {
        "entities": case.entities,
        "features": len(found),
        **median_ms,
        "calls": case.calls,
        "cells": 2 * case.entities * len(FEATURES),
        "cells_different": different,
    }


def _write_state(redis_url: str, views: CompiledViews, rows: pa.Table) -> tuple[list[str], dict[str, int]]:
    """The items that have statistics, and of those that have content when it first came, in ms."""
    store = StateStore(redis_url, views)
    items = _write_view(store, VIEW, Rows.from_arrow_events(rows, views))
    upserts = {item: END_MS - number for number, item in enumerate(items) if number % ABSENT}
    changes = [
        CatalogChange(upsert=ItemUpsert(tenant=DEFAULT_TENANT, item_id=item, title=item, event_time_ms=time_ms))
        for item, time_ms in upserts.items()
    ]
    _write_view(store, "item_content", Rows.from_catalog(changes, [c.SerializeToString() for c in changes]))
    return items, upserts


def _write_view(store: StateStore, view: str, rows: Rows) -> list[str]:
    folded = store.views.views[view].fold(rows)
    index = list(store.views.views).index(view)
    deltas: list[list[tuple[int, str, bytes]]] = [[] for _ in range(BUCKETS)]
    for entity, state in zip(folded.entities, folded.states, strict=True):
        deltas[entity_bucket(DEFAULT_TENANT, entity)].append((index, entity, state))
    for bucket, own in enumerate(deltas):
        for start in range(0, len(own), 100):
            end = min(start + 100, len(own))
            ranges = [PartitionRange(Partition("bench", rows.topic, 0), start, end)]
            store.apply([BucketWrite(bucket, ranges, own[start:end])])
    return folded.entities


def _stock_store(folder: Path, redis_url: str, frame: pd.DataFrame) -> FeatureStore:
    folder.mkdir()
    place = urlsplit(redis_url)
    config = RepoConfig(
        project="stock",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "redis", "connection_string": f"{place.hostname}:{place.port},db=1"},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    source = FileSource(name="nothing", path=str(folder / "nothing.parquet"), timestamp_field="event_timestamp")
    schema = [Field(name=name, dtype=Float32) for name in FEATURES]
    store.apply([item, FeatureView(name=VIEW, entities=[item], schema=schema, source=source)])
    store.write_to_online_store(VIEW, frame.assign(event_timestamp=pd.Timestamp(END_MS, unit="ms", tz="UTC")))
    return store


def _apply(repo: Path) -> None:
    feast = Path(sys.executable).parent / "feast"
    command = [sys.executable, str(feast), "apply"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    if done.returncode:
        detail = f"feast apply failed: {' '.join(done.stderr.strip().splitlines()[-1:])}"
        raise SnowmeltError(Reason.INVALID_FIELD, detail)


@contextmanager
def _environment(folder: Path, redis_url: str) -> Iterator[None]:
    """The process's SNOWMELT_* point at the bench's own folder and server, and at nothing else, while it runs."""
    before = dict(os.environ)
    for key in [k for k in os.environ if k.startswith("SNOWMELT_")]:
        del os.environ[key]
    os.environ |= {"SNOWMELT_STATE_DIR": str(folder.resolve()), "SNOWMELT_REDIS_URL": redis_url}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
