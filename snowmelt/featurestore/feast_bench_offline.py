"""Measures ``get_historical_features``: our as-of join beside Feast's own DuckDB store, over the same parquet file."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32

FEATURES = [f"f{i}" for i in range(10)]
OURS = "snowmelt.featurestore.feast_offline.SnowmeltOfflineStore"
ABSENT = 20
"""One of so many entities that are asked for has no row; one of so many cells of the rows has no value."""
SPAN_S = 90 * 86_400
START_S = 1_700_000_000


@dataclass(frozen=True)
class OfflineCase:
    """How many distinct entities the rows have, how long a version is valid, and the ratio that must be reached."""

    name: str
    entities: int
    ttl: timedelta | None
    floor: float


CASES = (
    OfflineCase("2k entities, no ttl", 2_000, None, 30.0),
    OfflineCase("20k entities, ttl 3 days", 20_000, timedelta(days=3), 1.5),
)


def bench_offline(
    folder: Path, asked: int, versions: int, say: Callable[[str], None], repeats: int = 5
) -> list[dict[str, Any]]:
    """One record a case: seconds of both stores, their ratio, and how many cells differ.

    Args:
        folder: an empty one, for the parquet files and registries.
        asked: rows of the entity data frame.
        versions: rows of the feature file.
        say: told what is measured next.
        repeats: ours is the median of so many runs; Feast's is run once where a run takes over 2 s.
    """
    return [
        _measure(case, folder / str(number), asked=asked, versions=versions, say=say, repeats=repeats)
        for number, case in enumerate(CASES)
    ]


def _measure(
    case: OfflineCase, folder: Path, *, asked: int, versions: int, say: Callable[[str], None], repeats: int
) -> dict[str, Any]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(case.entities)
    source = _write_versions(folder / "features.parquet", rng, case.entities, versions)
    entity_df = pd.DataFrame(
        {
            "row": np.arange(asked),
            # Some are of entities that have no row.
            "item_id": _names(rng.integers(0, case.entities + case.entities // ABSENT, asked)),
            "event_timestamp": pd.to_datetime(_instants(rng, asked), utc=True),
        }
    )
    answers, seconds = {}, {}
    for name, kind in (("feast_duckdb", "duckdb"), ("ours", OURS)):
        store = _store(folder / name, kind, source, case.ttl)
        say(f"{case.name}: {name}")
        answers[name], seconds[name] = _timed(store, entity_df, repeats)
    different = _different(answers["ours"], answers["feast_duckdb"])
    ratio = seconds["feast_duckdb"] / seconds["ours"]
    return {
        "case": case.name,
        "rows": asked,
        "versions": versions,
        "ours_s": seconds["ours"],
        "feast_duckdb_s": seconds["feast_duckdb"],
        "ratio": ratio,
        "floor": case.floor,
        "cells": asked * len(FEATURES),
        "cells_different": different,
    }


def _timed(store: FeatureStore, entity_df: pd.DataFrame, repeats: int) -> tuple[pd.DataFrame, float]:
    references = [f"versions:{name}" for name in FEATURES]
    runs: list[float] = []
    answer = pd.DataFrame()
    while len(runs) < repeats:
        start = time.perf_counter()
        answer = store.get_historical_features(entity_df.copy(), references).to_df()
        runs.append(time.perf_counter() - start)
        if runs[0] > 2.0:
            break
    return answer, float(np.median(runs))


def _store(folder: Path, offline: str, source: FileSource, ttl: timedelta | None) -> FeatureStore:
    folder.mkdir()
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": offline},
        online_store=None,
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    schema = [Field(name=name, dtype=Float32) for name in FEATURES]
    store.apply([item, FeatureView(name="versions", entities=[item], ttl=ttl, schema=schema, source=source)])
    return store


def _write_versions(place: Path, rng: np.random.Generator, entities: int, versions: int) -> FileSource:
    instants = _instants(rng, versions)
    columns = {"item_id": pa.array(_names(rng.integers(0, entities, versions)))}
    columns["event_timestamp"] = pa.array(instants).cast(pa.timestamp("us", "UTC"))
    columns |= {
        name: pa.array(rng.random(versions, np.float32), mask=rng.integers(0, ABSENT, versions) == 0)
        for name in FEATURES
    }
    pq.write_table(pa.table(columns), place)
    return FileSource(path=str(place), timestamp_field="event_timestamp")


def _instants(rng: np.random.Generator, size: int) -> Any:
    """datetime64[us][size], all different, so that no join may choose between two versions."""
    microseconds = rng.choice(SPAN_S * 1000, size, replace=False) * 1000
    return (START_S * 1_000_000 + microseconds).astype("datetime64[us]")


def _names(numbers: Any) -> Any:
    return np.char.add("item-", numbers.astype(str)).astype(object)


def _different(ours: pd.DataFrame, theirs: pd.DataFrame) -> int:
    left = ours.sort_values("row")[FEATURES].to_numpy(np.float64)
    right = theirs.sort_values("row")[FEATURES].to_numpy(np.float64)
    if left.shape != right.shape:
        return int(max(left.size, right.size))
    return int((~((left == right) | (np.isnan(left) & np.isnan(right)))).sum())
