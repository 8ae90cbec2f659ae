"""What ``bench features`` holds answers against: plain counts, which find a wrong window, feature, or None for NaN."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from snowmelt.cli.bench_features import floors
from snowmelt.contracts.clock import DAY_MS
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore.feast_bench_events import (
    END_MS,
    FEATURES,
    TILE_MS,
    as_dict,
    cells_different,
    counted,
    events,
)

CHECKOUT = Path(__file__).parents[2]
ITEMS, EVENTS = 50, 5000


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return events(ITEMS, EVENTS)


def finished(rows: pa.Table, as_of_ms: int) -> pd.DataFrame:
    view = default_views().views["item_stats"]
    folded = view.fold(Rows.from_arrow_events(rows, default_views()))
    values = view.finish([*folded.states, None], as_of_ms, FEATURES)
    return pd.DataFrame({"item_id": [*folded.entities, "absent"], **values})


@pytest.mark.parametrize("later_ms", [0, TILE_MS, 70 * 60_000, DAY_MS, 40 * DAY_MS])
def test_plain_counts_are_what_is_finished(rows: pa.Table, later_ms: int) -> None:
    ours = finished(rows, END_MS + later_ms)
    assert cells_different(ours, counted(rows, list(ours["item_id"]), END_MS + later_ms)) == 0


def test_counts_by_hand() -> None:
    times_ms = [END_MS, END_MS - 2 * 3_600_000, END_MS - 2 * DAY_MS, END_MS - 14 * DAY_MS]
    rows = events(1, 4).drop_columns(["event_time", "type"])
    rows = rows.append_column("type", pa.array(["view", "click", "view", "rating"]))
    rows = rows.append_column("event_time", pa.array(times_ms).cast(pa.timestamp("ms", "UTC")))
    found = as_dict(counted(rows, ["item-0", "absent"], END_MS))
    by_hand = {"views_1h": 1, "views_1d": 1, "views_7d": 2, "clicks_1h": 0, "clicks_1d": 1, "ratings_28d": 1}
    by_hand |= {"interactions_1d": 2, "interactions_7d": 3, "interactions_28d": 4, "purchases_28d": 0}
    assert {name: found[name] for name in by_hand} == {name: [value, 0] for name, value in by_hand.items()}
    decayed = sum(0.5 ** ((END_MS - at) / (7 * DAY_MS)) for at in times_ms)
    assert found["interactions_decayed"] == [pytest.approx(decayed), 0]


@pytest.mark.parametrize(("one", "other"), [("views_1h", "views_1d"), ("clicks_7d", "views_7d")])
def test_features_in_each_others_place_are_found(rows: pa.Table, one: str, other: str) -> None:
    right = counted(rows, [f"item-{number}" for number in range(ITEMS)], END_MS)
    wrong = right.assign(**{one: right[other], other: right[one]})
    assert cells_different(wrong, right) > ITEMS
    assert cells_different(right, right) == 0


def test_none_is_not_nan() -> None:
    frame = pd.DataFrame({"item_id": ["a", "b"], "price": [1.0, np.nan]})
    assert as_dict(frame)["price"] == [1.0, None]
    assert cells_different(as_dict(frame), as_dict(frame), ["price"]) == 0
    assert cells_different(frame, frame, ["price"]) == 0
    assert cells_different(frame, as_dict(frame), ["price"]) == 1
    assert cells_different(frame, frame.iloc[::-1], ["price"]) == 2


def test_a_float32_beside_it_is_equal_for_a_decayed_sum_alone() -> None:
    low = {"item_id": ["a"], "x_7d": [3.0], "x_decayed": [3.0]}
    beside = [float(np.nextafter(np.float32(3), np.float32(4)))]
    high = {"item_id": ["a"], "x_7d": beside, "x_decayed": beside}
    assert cells_different(low, high, ["x_decayed"]) == 0
    assert cells_different(low, high, ["x_7d"]) == 1
    assert cells_different(low, {**high, "x_decayed": [3.000001]}, ["x_decayed"]) == 1


def figures(online: int = 0, values: int = 0, ratio: float = 15.0) -> dict[str, object]:
    known = {
        "entities": 500,
        "features": 20,
        "form": "to_df",
        "floor": 15.0,
        "cells": 10_000,
        "cells_different": online,
    }
    return {
        "online": [{**known, "ratio": ratio}],
        "values": {"cells": 99, "cells_different": values},
        "historical": [{"case": "ttl", "ratio": 2.0, "floor": 1.5, "cells": 9, "cells_different": 0}],
    }


@pytest.mark.parametrize(
    ("measured", "scale", "verdicts"),
    [
        (figures(), 1.0, ["met", "met"]),
        (figures(ratio=14.9), 1.0, ["missed", "met"]),
        (figures(online=1), 1.0, ["not valid", "met"]),
        (figures(values=1), 1.0, ["not valid", "met"]),
        (figures(), 0.5, ["met", "not valid"]),
    ],
)
def test_floors(measured: dict[str, object], scale: float, verdicts: list[str]) -> None:
    assert [verdict["verdict"] for verdict in floors(measured, scale)] == verdicts


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.long
def test_a_small_bench_finds_equal_values() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", "bench", "features", "--scale", "0.01", "--json"],
        env=dict(os.environ), cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    measured = [said["values"], *said["online"], *said["replica"], *said["historical"]]
    assert [each["cells_different"] for each in measured] == [0] * 12
    assert len(said["floors"]) == 8
