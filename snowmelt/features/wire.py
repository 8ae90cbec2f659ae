"""Decoded protos -> the columns of Rows, one pass a field."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import session_entity
from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSION_TYPE, IMPRESSIONS
from snowmelt.features.kinds.last import boxed
from snowmelt.features.ragged import I64, Ragged, offsets_of
from snowmelt.features.words import Words

NO_TYPE = -1
"""Type of a row that is an item's upsert."""
WITHDRAWAL = -2
"""Type of a row that is an item's withdrawal."""


class Types(Protocol):
    """Whatever knows the declared event types, as CompiledViews does."""

    @property
    def event_types(self) -> tuple[str, ...]:
        """The types; a type's code is its place."""


def type_codes(names: Sequence[str], views: Types) -> I64:
    """int64[n]: the code of each type.

    Raises:
        SnowmeltError: UNKNOWN_EVENT_TYPE.
    """
    code = {name: place for place, name in enumerate(views.event_types)}
    try:
        return np.array([code[name] for name in names], np.int64)
    except KeyError as error:
        detail = f"event type {error.args[0]!r} is not one of the declared {', '.join(views.event_types)}"
        raise SnowmeltError(Reason.UNKNOWN_EVENT_TYPE, detail, field="type") from None


def events(events: Sequence[events_pb2.Event], views: Types, offsets: Sequence[int] | None) -> dict[str, Any]:
    """The columns of events."""
    types = Words.of(e.type for e in events)
    cells, words = _categories([e.categories for e in events])
    return {
        "topic": EVENTS,
        "tenant_words": Words.of(e.tenant for e in events),
        "user_words": Words.of(e.user_id or session_entity(e.session_id) for e in events),
        "item_words": Words.of(e.item_id for e in events),
        "types": type_codes(types.values, views)[types.codes].astype(np.int16),
        "times_ms": np.array([e.event_time_ms for e in events], np.int64),
        "values": np.array([e.value if e.HasField("value") else np.nan for e in events], np.float64),
        "prices": np.array([e.price if e.HasField("price") else np.nan for e in events], np.float64),
        "category_cells": cells,
        "category_values": words,
        "offsets": _offsets(offsets, len(events)),
    }


def impressions(slates: Sequence[events_pb2.Impression], views: Types, offsets: Sequence[int] | None) -> dict[str, Any]:
    """The columns of slates, one row an item shown."""
    lengths = np.array([len(s.items) for s in slates], np.int64)
    return shown(
        np.repeat(np.arange(len(slates)), lengths),
        tenants=Words.of(s.tenant for s in slates),
        items=Words.of(i.item_id for s in slates for i in s.items),
        times_ms=np.array([s.as_of_ms for s in slates], np.int64),
        offsets=_offsets(offsets, len(slates)),
        views=views,
    )


def shown(slate: I64, *, tenants: Words, items: Words, times_ms: I64, offsets: I64, views: Types) -> dict[str, Any]:
    """The columns of items shown: ``slate`` (int64[n]) says of each in which slate; the rest but items is a slate's."""
    absent = np.full(len(slate), np.nan)
    return {
        "topic": IMPRESSIONS,
        "tenant_words": tenants.take(slate),
        "user_words": Words.repeat("", len(slate)),
        "item_words": items,
        "types": np.full(len(slate), type_codes([IMPRESSION_TYPE], views)[0], np.int16),
        "times_ms": times_ms[slate],
        "values": absent,
        "prices": absent,
        "category_cells": Ragged(np.zeros(len(slate) + 1, np.int64), (np.empty(0, np.int64),)),
        "category_values": (),
        "offsets": offsets[slate],
    }


def catalog(
    changes: Sequence[events_pb2.CatalogChange], payloads: Sequence[bytes], offsets: Sequence[int] | None
) -> dict[str, Any]:
    """The columns of catalogue changes."""
    upserts = [c.HasField("upsert") for c in changes]
    parts = [c.upsert if up else c.withdrawal for c, up in zip(changes, upserts, strict=True)]
    # The upsert of a withdrawal reads as an empty one: no categories, no price.
    cells, words = _categories([c.upsert.categories for c in changes])
    return {
        "topic": CATALOG,
        "tenant_words": Words.of(p.tenant for p in parts),
        "user_words": Words.repeat("", len(parts)),
        "item_words": Words.of(p.item_id for p in parts),
        "types": np.where(np.array(upserts, np.bool_), NO_TYPE, WITHDRAWAL).astype(np.int16),
        "times_ms": np.array([p.event_time_ms for p in parts], np.int64),
        "values": np.full(len(parts), np.nan),
        "prices": np.array([c.upsert.price if c.upsert.HasField("price") else np.nan for c in changes], np.float64),
        "category_cells": cells,
        "category_values": words,
        "offsets": _offsets(offsets, len(parts)),
        "payloads": boxed(payloads),
    }


def _categories(lists: Sequence[Sequence[str]]) -> tuple[Ragged, tuple[str, ...]]:
    words = Words.of(c for some in lists for c in some)
    return Ragged(offsets_of(np.array([len(some) for some in lists], np.int64)), (words.codes,)), words.values


def _offsets(offsets: Sequence[int] | None, size: int) -> I64:
    return np.zeros(size, np.int64) if offsets is None else np.asarray(offsets, np.int64)
