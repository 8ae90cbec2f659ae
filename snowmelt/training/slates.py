"""The slate that led to what a user did: when it was made, for every event, without an object a row."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.clock import DAY_MS
from snowmelt.features.asof import Timeline
from snowmelt.training.interactions import Codes, Times

LINKS = ("request_id", "user_id", "session_id")
EVENT_COLUMNS = ("tenant", *LINKS, "item_id", "event_time")
IMPRESSION_COLUMNS = ("tenant", *LINKS, "as_of", "items")
UNNAMED_MS = DAY_MS
"""A slate that an event does not name led to it only where it is at most so old."""
_NEVER = np.iinfo(np.int64).min


def shown_ms(events: pa.Table, impressions: pa.Table) -> Times:
    """int64[n]: when the slate was made that led to each event of the lake; the event's own time where none did.

    It is the newest before the event that shows its item: of the request that the event names, whoever asked (a user
    may have logged in since), else of its user or its session.
    """
    slates = impressions["items"].combine_chunks()
    slate = pc.list_parent_indices(slates).to_numpy()
    shown = pc.struct_field(pc.list_flatten(slates), "item_id")
    as_of, times = _ms(impressions["as_of"])[slate], _ms(events["event_time"])
    tenants, items = _words(events["tenant"]), _words(events["item_id"])
    theirs, ours = _places(impressions["tenant"], tenants), _places(events["tenant"], tenants)
    showing = _pairs(theirs[slate], _places(shown, items), len(items))
    touched = _pairs(ours, _places(events["item_id"], items), len(items))
    found = {}
    for link in LINKS:
        words = _words(impressions[link])
        mine = _pairs(touched, _places(events[link], words), len(words))
        found[link] = _newest(mine, times, _pairs(showing, _places(impressions[link], words)[slate], len(words)), as_of)
    unnamed = np.maximum(found["user_id"], found["session_id"])
    unnamed = np.where(unnamed >= times - UNNAMED_MS, unnamed, times)
    return np.where(found["request_id"] > _NEVER, found["request_id"], unnamed)


def _newest(asked: Codes, times: Times, shown: Codes, as_of: Times) -> Times:
    """int64[n]: the newest instant of each code shown, at or before the time; _NEVER where there is none."""
    known, codes = np.unique(asked, return_inverse=True)
    theirs = pc.index_in(pa.array(shown), value_set=pa.array(known)).fill_null(-1).to_numpy()
    kept = np.flatnonzero((theirs >= 0) & (shown >= 0))
    line = Timeline(theirs[kept], as_of[kept], len(known))
    after = line.until(codes, times)
    hit = np.flatnonzero(after > line.starts[codes])
    newest = np.full(len(times), _NEVER)
    newest[hit] = as_of[kept[line.order[after[hit] - 1]]]
    return newest


def _words(column: Any) -> Any:
    words = pc.unique(column)
    return words.filter(pc.not_equal(words, ""))


def _places(column: Any, words: Any) -> Codes:
    """int64[n]: each string's place among the words; -1 where it is none of them."""
    found: Codes = pc.index_in(column, value_set=words).fill_null(-1).to_numpy().astype(np.int64)
    return found


def _pairs(left: Codes, right: Codes, width: int) -> Codes:
    """int64[n]: a number for each pair of codes, the right ones below ``width``; -1 where either is."""
    return np.where((left < 0) | (right < 0), -1, left * width + right)


def _ms(column: Any) -> Times:
    whole: Times = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()).to_numpy()
    return whole
