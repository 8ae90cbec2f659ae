"""Measures Feast's own ``push`` on its stock Redis store: run as a program of its own, it prints one JSON object.

Feast does not aggregate: what is pushed are values that are there already, out of a file, one row an event.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.types import Array, Float64, Int64, String

PUSH = "events"
ITEM_FEATURES = [
    *(f"{name}_{window}" for name in ("views", "interactions") for window in ("1h", "1d", "7d", "28d")),
    *("views_decayed", "interactions_decayed", "distinct_users_28d"),
]
USER_FEATURES = ["price_level", "type_counts", "category_affinity", "recent_items"]
RECENT_ITEMS = 10
WARM_ROWS = 1000


def main(folder: Path, connection: str, batch_rows: int, *, check_times: bool) -> dict[str, float]:
    """Pushes the rows of ``events.parquet`` in ``folder``; seconds and CPU seconds of this process alone.

    Args:
        folder: ``events.parquet`` has user_id, item_id and event_time; Feast's registry is put beside it.
        connection: of an empty Redis, as Feast writes it.
        batch_rows: rows of one push.
        check_times: Feast's default, one round trip more to keep what is newer; without it a row simply replaces.
    """
    events = pq.read_table(folder / "events.parquet").to_pandas()
    store = _store(folder, connection, check_times=check_times)
    batches = [_rows(events[start : start + batch_rows]) for start in range(0, len(events), batch_rows)]
    store.push(PUSH, batches[0][:WARM_ROWS])
    began, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        store.push(PUSH, batch)
    return {
        "events": len(events),
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


def _rows(events: pd.DataFrame) -> pd.DataFrame:
    """Values as many as an event changes of the default views, the lists shorter than theirs."""
    random = np.random.default_rng(len(events))
    columns: dict[str, Any] = {
        name: random.random(len(events)) if name.endswith("decayed") else random.integers(0, 1000, len(events))
        for name in ITEM_FEATURES
    }
    columns["price_level"] = random.random(len(events))
    columns["type_counts"] = list(random.random((len(events), 3)))
    columns["category_affinity"] = list(random.random((len(events), 5)))
    items = events["item_id"].to_numpy()
    columns["recent_items"] = list(items[random.integers(0, len(events), (len(events), RECENT_ITEMS))])
    return events.assign(**columns)


def _store(folder: Path, connection: str, *, check_times: bool) -> FeatureStore:
    config = RepoConfig(
        project="push",
        provider="local",
        registry=str(folder / f"registry-{check_times}.db"),
        online_store={"type": "redis", "connection_string": connection, "skip_dedup": not check_times},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    nothing = FileSource(name="nothing", path=str(folder / "nothing.parquet"), timestamp_field="event_time")
    source = PushSource(name=PUSH, batch_source=nothing)
    user, item = (Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING) for name in ("user", "item"))
    item_schema = [Field(name=n, dtype=Float64 if n.endswith("decayed") else Int64) for n in ITEM_FEATURES]
    kinds: tuple[Any, ...] = (Float64, Array(Float64), Array(Float64), Array(String))
    user_schema = [Field(name=name, dtype=kind) for name, kind in zip(USER_FEATURES, kinds, strict=True)]
    views = [
        FeatureView(name="user_profile", entities=[user], schema=user_schema, source=source),
        FeatureView(name="item_stats", entities=[item], schema=item_schema, source=source),
    ]
    store.apply([user, item, source, *views])
    return store


if __name__ == "__main__":
    place, server, size, name = sys.argv[1:]
    figures = main(Path(place), server, int(size), check_times=not name.endswith("skip_dedup"))
    sys.stdout.write(json.dumps(figures) + "\n")
