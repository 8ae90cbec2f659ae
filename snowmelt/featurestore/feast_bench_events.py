"""The online benchmark's events, and the values that follow from them by plain counting, without any part of ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from snowmelt.contracts.clock import DAY_MS, HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT

COUNTED = {"views": "view", "clicks": "click", "purchases": "purchase", "ratings": "rating"}
SHARES = (0.6, 0.25, 0.05, 0.1)
TILE_MS = 5 * 60_000
WINDOWS_MS = {
    "1h": (HOUR_MS, TILE_MS),
    "1d": (DAY_MS, HOUR_MS),
    "7d": (7 * DAY_MS, HOUR_MS),
    "28d": (28 * DAY_MS, HOUR_MS),
}
"""By the end of a feature's name: how long the window is, and a tile of it, which counts whole or not at all."""
HALF_LIFE_MS = 7 * DAY_MS
FEATURES = [
    *(f"{counted}_{window}" for counted in COUNTED for window in WINDOWS_MS),
    *(f"interactions_{window}" for window in ("1d", "7d", "28d", "decayed")),
]
END_MS = 1_750_000_000_000
SPAN_MS = 28 * DAY_MS


def events(items: int, count: int) -> pa.Table:
    """``count`` rows as the lake has them, up to END_MS over 28 days, most of them late; the items' shares uneven."""
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, items + 1) ** 0.6
    times_ms = END_MS - (rng.random(count) ** 2 * SPAN_MS).astype(np.int64)
    size = {"type": pa.array(rng.choice(list(COUNTED.values()), count, p=SHARES))}
    return pa.table(
        size
        | {
            "tenant": pa.array([DEFAULT_TENANT]).take(pa.array(np.zeros(count, np.int64))),
            "user_id": pa.array(np.char.add("user-", rng.integers(0, 1000, count).astype(str))),
            "session_id": pa.nulls(count, pa.string()),
            "item_id": pa.array(np.char.add("item-", rng.choice(items, count, p=shares / shares.sum()).astype(str))),
            "value": pa.nulls(count, pa.float64()),
            "event_time": pa.array(times_ms).cast(pa.timestamp("ms", "UTC")),
            "categories": pa.nulls(count, pa.list_(pa.string())),
            "price": pa.nulls(count, pa.float64()),
            "offset": pa.array(np.arange(count)),
        }
    )


def counted(rows: pa.Table, items: Sequence[str], as_of_ms: int) -> pd.DataFrame:
    """``item_id`` and FEATURES of items at an instant, counted row by row; of an item without events they are 0.

    A row counts in a window where it is not after the instant and its tile began after the window did.
    """
    places = pd.Index(items).get_indexer(rows["item_id"].to_pandas())
    times_ms = rows["event_time"].cast(pa.int64()).to_numpy()
    types = rows["type"].to_numpy()
    asked = (places >= 0) & (times_ms <= as_of_ms)

    def summed(weights: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.bincount(places[asked], weights[asked], len(items)).astype(np.float32)

    columns: dict[str, Any] = {"item_id": list(items)}
    for name in FEATURES:
        what, _, window = name.partition("_")
        hit = np.ones(len(types)) if what == "interactions" else (types == COUNTED[what]).astype(np.float64)
        if window == "decayed":
            columns[name] = summed(hit * 0.5 ** ((as_of_ms - times_ms) / HALF_LIFE_MS))
        else:
            window_ms, tile_ms = WINDOWS_MS[window]
            columns[name] = summed(hit * (times_ms // tile_ms * tile_ms > as_of_ms - window_ms))
    return pd.DataFrame(columns)


def cells_different(ours: Any, theirs: Any, names: Sequence[str] = FEATURES) -> int:
    """How many cells of two answers, by column, are not the same; all, where the rows are of other items.

    An absent value is None in a ``to_dict`` and NaN in a ``to_df``: one is not the other. A decayed sum may be the next
    float32, as it depends on the order in which it was added up.
    """
    if list(ours["item_id"]) != list(theirs["item_id"]):
        return len(names) * max(len(ours["item_id"]), len(theirs["item_id"]))
    return sum(_unequal(ours[name], theirs[name], near=name.endswith("_decayed")) for name in names)


def _unequal(ours: Sequence[Any], theirs: Sequence[Any], *, near: bool) -> int:
    (none, left), (their_none, right) = _column(ours), _column(theirs)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    if near:
        equal |= np.abs(left - right) <= np.spacing(np.abs(right).astype(np.float32))
    return int(((none != their_none) | ~equal).sum())


def _column(values: Sequence[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which are None, and all as numbers, those as NaN."""
    none = np.array([value is None for value in values])
    return none, np.array([np.nan if value is None else value for value in values], np.float64)


def as_dict(frame: pd.DataFrame) -> Mapping[str, list[Any]]:
    """The frame as a ``to_dict`` has to answer it: None where it has NaN."""
    return {
        name: [None if value != value else value for value in frame[name].tolist()]  # noqa: PLR0124
        for name in frame.columns
    }
