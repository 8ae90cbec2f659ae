"""Events as the columns of the lake's table, and which of them break the proto's rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ingest.batch import Batch, Mask
from snowmelt.api.events.v1 import events_pb2
from snowmelt.lake.schemas import INSTANT, TABLES
from snowmelt.runtime.limits import Many, Number, Rule, Text, rules_of

TEXTS = ("event_id", "tenant", "user_id", "session_id", "item_id", "type", "surface", "request_id")
OPTIONAL = ("value", "position", "price")
RULES: dict[str, Rule] = rules_of(events_pb2.Event.DESCRIPTOR)


@dataclass(frozen=True)
class Lists:
    """A list a row: int64[n] lengths and the items of all rows, one column or, of a map, two."""

    lengths: npt.NDArray[np.int64]
    flat: tuple[pa.StringArray, ...]

    def array(self) -> pa.Array:
        """As Arrow's lists or maps."""
        offsets = pa.array(np.concatenate(([0], np.cumsum(self.lengths))), pa.int32())
        kind = pa.ListArray if len(self.flat) == 1 else pa.MapArray
        return kind.from_arrays(offsets, *self.flat)


@dataclass(frozen=True)
class EventColumns:
    """n events as columns; ``numbers`` holds (values, present) of optional fields, ``times_ms`` int64[n]."""

    texts: dict[str, pa.StringArray]
    numbers: dict[str, tuple[npt.NDArray[Any], Mask]]
    times_ms: npt.NDArray[np.int64]
    context: Lists
    categories: Lists

    def broken(self) -> Mask:
        """bool[n]: which events break a rule of the proto."""
        bad = np.zeros(len(self.times_ms), np.bool_)
        for name, rule in RULES.items():
            if isinstance(rule, Text):
                bad |= rule.broken(self.texts[name])
            elif isinstance(rule, Many):
                lists: Lists = getattr(self, name)
                bad |= rule.broken(lists.lengths, *lists.flat)
            elif isinstance(rule, Number):
                bad |= rule.broken(*self.numbers[name]) if name in self.numbers else rule.broken(self.times_ms)
        return bad | (_empty(self.texts["user_id"]) & _empty(self.texts["session_id"]))

    def table(self, batch: Batch, incarnation: str) -> pa.Table:
        """As rows of the lake's table ``events``."""
        columns: dict[str, Any] = dict(self.texts)
        for name, (values, present) in self.numbers.items():
            columns[name] = pa.array(values, mask=~present)
        columns |= {"context": self.context.array(), "categories": self.categories.array()}
        columns["event_time"] = instants(self.times_ms)
        columns["late"] = pa.nulls(len(batch), pa.bool_())  # what is late is known where it lands
        columns |= places(batch, incarnation)
        schema = TABLES["events"]
        return pa.table([columns[name] for name in schema.names], schema=schema)


def event_columns(events: Sequence[events_pb2.Event]) -> EventColumns:
    """The columns of decoded events."""
    texts = {name: pa.array([getattr(e, name) for e in events], pa.string()) for name in TEXTS}
    return EventColumns(
        texts=texts,
        numbers={name: _optional(events, name) for name in OPTIONAL},
        times_ms=np.array([e.event_time_ms for e in events], np.int64),
        context=_maps([e.context for e in events]),
        categories=_lists([e.categories for e in events]),
    )


def _optional(events: Sequence[events_pb2.Event], name: Any) -> tuple[npt.NDArray[Any], Mask]:
    kind = np.int32 if name == "position" else np.float64
    values = np.array([getattr(e, name) for e in events], kind)
    present = values != 0
    for i in np.flatnonzero(~present).tolist():  # 0 is also what an absent field reads as
        present[i] = events[i].HasField(name)
    return values, present


def _lists(lists: Sequence[Sequence[str]]) -> Lists:
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return Lists(lengths, (pa.array([word for words in lists for word in words[:]], pa.string()),))


def _maps(maps: Sequence[Any]) -> Lists:
    lengths = np.fromiter(map(len, maps), np.int64, len(maps))
    pairs = [pair for i in np.flatnonzero(lengths).tolist() for pair in sorted(maps[i].items())]
    return Lists(lengths, (_strings(key for key, _ in pairs), _strings(value for _, value in pairs)))


def _strings(words: Iterable[str]) -> pa.StringArray:
    return pa.array(list(words), pa.string())


def _empty(column: pa.StringArray) -> Mask:
    empty: Mask = np.diff(np.frombuffer(column.buffers()[1], np.int32)[: len(column) + 1]) == 0
    return empty


def instants(times_ms: npt.NDArray[np.int64]) -> pa.Array:
    """Milliseconds as the lake's instants."""
    return pa.array(times_ms * 1000, pa.int64()).view(INSTANT)


def places(batch: Batch, incarnation: str) -> dict[str, pa.Array]:
    """Where each row of a batch comes from."""
    return {
        "incarnation": pa.DictionaryArray.from_arrays(np.zeros(len(batch), np.int32), [incarnation]).cast(pa.string()),
        "partition": pa.array(batch.partitions, pa.int32()),
        "offset": pa.array(batch.offsets, pa.int64()),
        "record_time": instants(batch.times_ms),
    }
