"""Measures ``get_online_features``: our store beside Feast's stock Redis store, the same values on the same server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
from snowmelt.featurestore.feast_pins import pinned
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.store import BucketWrite, PartitionRange, StateStore

VIEW = "item_stats"
FEATURES = [
    *(f"{n}_{w}" for n in ("views", "clicks", "purchases", "ratings") for w in ("1h", "1d", "7d", "28d")),
    *(f"interactions_{w}" for w in ("1d", "7d", "28d", "decayed")),
]
REFERENCES = [f"{VIEW}:{name}" for name in FEATURES]
END_MS = 1_750_000_000_000
SPAN_MS = 28 * DAY_MS
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
) -> list[dict[str, Any]]:
    """One record a case and form: median milliseconds of both stores, their ratio, and how many cells differ.

    Args:
        repo: the feature repository.
        folder: an empty one, for registries and compiled views.
        redis_url: an empty Redis; database 0 is ours, 1 is Feast's.
        items, events: how many; the events are of 28 days, the items' shares uneven.
        blocks: each store is measured so many times in turn: Feast's cache of resolved requests is one a process and is
            emptied where two stores alternate, so calls come in blocks, each after a call that is not counted.
        say: told what is done next.
    """
    with _environment(folder, redis_url):
        say("feast apply")
        _apply(repo)
        say(f"state of {items} items out of {events} events")
        names = _write_state(redis_url, CompiledViews.load(folder / "views.json"), items, events)
        ours = FeatureStore(repo_path=str(repo))
        with pinned(as_of_ms=END_MS):
            frame = ours.get_online_features(REFERENCES, {"item_id": names}).to_df()
            stock = _stock_store(folder / "stock", redis_url, frame)
            measured = [
                _measure(case, form, ours, stock, names, blocks, say) for case in CASES for form in ("to_dict", "to_df")
            ]
        return measured + _measure_replica(redis_url, CompiledViews.load(folder / "views.json"), frame, say)


def _measure(  # noqa: PLR0917
    case: OnlineCase,
    form: str,
    ours: FeatureStore,
    stock: FeatureStore,
    names: Sequence[str],
    blocks: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    say(f"{case.entities} entities, {form}")
    asked = {"item_id": list(np.random.default_rng(case.entities).choice(names, case.entities, replace=False))}
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
    different = _different(answers["ours"], answers["stock"])
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
        "cells_different": different,
        "reached": stock_ms / ours_ms >= case.floor and different == 0,
    }


def _measure_replica(
    redis_url: str, views: CompiledViews, frame: pd.DataFrame, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The same features of the same items as the ranker reads them: in process, out of the replica."""
    say("the same read through the replica")
    replica = ItemReplica(redis_url, LiveViews(views))
    replica.start()
    try:
        deadline = time.monotonic() + REPLICA_TIMEOUT_S
        while len(replica.columns()) < len(frame) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [_replica_case(case, replica, frame) for case in CASES]
    finally:
        replica.stop()


def _replica_case(case: OnlineCase, replica: ItemReplica, frame: pd.DataFrame) -> dict[str, Any]:
    asked = frame.sample(case.entities, random_state=case.entities)
    keys = item_keys(DEFAULT_TENANT, asked["item_id"])
    runs = []
    for _ in range(case.calls):
        start = time.perf_counter()
        found = replica.statistics(keys, END_MS)
        runs.append(time.perf_counter() - start)
    different = _different(pd.DataFrame({"item_id": asked["item_id"].to_numpy(), **found}), asked)
    return {
        "entities": case.entities,
        "features": len(found),
        "form": "replica",
        "ours_ms": float(np.median(runs)) * 1e3,
        "calls": case.calls,
        "cells": case.entities * len(FEATURES),
        "cells_different": different,
        "reached": different == 0,
    }


def _different(ours: Any, theirs: Any) -> int:
    left, right = pd.DataFrame(ours), pd.DataFrame(theirs)
    if list(left["item_id"]) != list(right["item_id"]):
        return int(left.size)
    a, b = left[FEATURES].to_numpy(np.float64), right[FEATURES].to_numpy(np.float64)
    return int((~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())


def _write_state(redis_url: str, views: CompiledViews, items: int, events: int) -> list[str]:
    store = StateStore(redis_url, views)
    entities = _write_view(store, VIEW, Rows.from_arrow_events(_events(items, events), views))
    changes = [CatalogChange(upsert=_upsert(entity)) for entity in entities]
    _write_view(store, "item_content", Rows.from_catalog(changes, [c.SerializeToString() for c in changes]))
    return entities


def _upsert(item_id: str) -> ItemUpsert:
    return ItemUpsert(tenant=DEFAULT_TENANT, item_id=item_id, title=item_id, event_time_ms=END_MS - SPAN_MS)


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


def _events(items: int, events: int) -> pa.Table:
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, items + 1) ** 0.6
    types = np.array(["view", "click", "purchase", "rating"])
    times_ms = END_MS - (rng.random(events) ** 2 * SPAN_MS).astype(np.int64)
    size = {"type": pa.array(rng.choice(types, events, p=[0.6, 0.25, 0.05, 0.1]))}
    return pa.table(
        size
        | {
            "tenant": pa.array([DEFAULT_TENANT]).take(pa.array(np.zeros(events, np.int64))),
            "user_id": pa.array(np.char.add("user-", rng.integers(0, 1000, events).astype(str))),
            "session_id": pa.nulls(events, pa.string()),
            "item_id": pa.array(np.char.add("item-", rng.choice(items, events, p=shares / shares.sum()).astype(str))),
            "value": pa.nulls(events, pa.float64()),
            "event_time": pa.array(times_ms).cast(pa.timestamp("ms", "UTC")),
            "categories": pa.nulls(events, pa.list_(pa.string())),
            "price": pa.nulls(events, pa.float64()),
            "offset": pa.array(np.arange(events)),
        }
    )


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
