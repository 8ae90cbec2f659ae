"""The columnar batch that every fold reads, out of decoded protos or out of the lake's tables."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.ids import Keys, item_keys
from snowmelt.features import arrow, wire
from snowmelt.features.ragged import F64, I64, Ragged, offsets_of
from snowmelt.features.wire import NO_TYPE, WITHDRAWAL, Types
from snowmelt.features.words import Words

__all__ = ["NO_TYPE", "WITHDRAWAL", "Entities", "Rows", "Types"]


@dataclass(frozen=True, eq=False)
class Entities:
    """m pairs of tenant and name, users or items.

    Attributes:
        tenants: the words that ``tenant_codes`` (int64[m]) name.
        names: m.
        keys: uint64[m], ``item_key`` of each; modulo 16 it is the bucket.
    """

    tenants: tuple[str, ...]
    tenant_codes: I64
    names: list[str]
    keys: Keys

    def take(self, index: I64) -> "Entities":
        """Some of them, in the order of the index."""
        names = list(map(self.names.__getitem__, index.tolist()))
        return Entities(self.tenants, self.tenant_codes[index], names, self.keys[index])


@dataclass(frozen=True)
class Rows:
    """n rows of one topic; see the properties for plain lists.

    Attributes:
        topic: where the rows come from.
        tenant_words, user_words, item_words: n strings each; "" where a row has no user.
        types: int16[n], codes; NO_TYPE or WITHDRAWAL for the catalogue.
        times_ms: int64[n], event time.
        values, prices: float64[n], NaN where absent.
        category_cells: one cell a row with one column, int64 codes into ``category_values``.
        offsets: int64[n], the records' offsets in their partitions.
        payloads: object[n] of bytes for the catalogue, else None.
    """

    topic: str
    tenant_words: Words
    user_words: Words
    item_words: Words
    types: npt.NDArray[np.int16]
    times_ms: I64
    values: F64
    prices: F64
    category_cells: Ragged
    category_values: tuple[str, ...]
    offsets: I64
    payloads: npt.NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.times_ms)

    @property
    def tenants(self) -> list[str]:
        """The tenant of each row."""
        return self.tenant_words.tolist()

    @property
    def users(self) -> list[str]:
        """The user (or session entity) of each row."""
        return self.user_words.tolist()

    @property
    def items(self) -> list[str]:
        """The item id of each row."""
        return self.item_words.tolist()

    @property
    def categories(self) -> list[tuple[str, ...]]:
        """The categories of each row."""
        return [tuple(map(self.category_values.__getitem__, c.tolist())) for c in self.category_cells.split(0)]

    @cached_property
    def item_keys(self) -> Keys:
        """uint64[n]: the key of each row's item."""
        codes, items = self.item_entities
        return items.keys[codes]

    @cached_property
    def user_entities(self) -> tuple[I64, Entities]:
        """Codes int64[n] into the users that occur, one named "" among them where a row has none, and these."""
        return self._entities(self.user_words)

    @cached_property
    def item_entities(self) -> tuple[I64, Entities]:
        """Codes int64[n] into the items that occur, and these."""
        return self._entities(self.item_words)

    def _entities(self, words: Words) -> tuple[I64, Entities]:
        width = max(len(words.values), 1)
        found, codes = np.unique(self.tenant_words.codes * width + words.codes, return_inverse=True)
        tenants, places = np.divmod(found, width)
        names = list(map(words.values.__getitem__, places.tolist()))
        return codes, Entities(self.tenant_words.values, tenants, names, self._keys(tenants, names))

    def _keys(self, tenants: I64, names: list[str]) -> Keys:
        keys = np.empty(len(names), np.uint64)
        for tenant in set(self.tenant_words.values):
            mine = np.array([value == tenant for value in self.tenant_words.values])[tenants]
            own = names if mine.all() else list(compress(names, mine.tolist()))
            keys[mine] = item_keys(tenant, own)
        return keys

    def pairs(self, words: Words) -> tuple[I64, list[tuple[str, str]]]:
        """Codes int64[n] into the different (tenant, word) that occur, and these in order of their code."""
        width = max(len(words.values), 1)
        found, codes = np.unique(self.tenant_words.codes * width + words.codes, return_inverse=True)
        values = [(self.tenant_words.values[p // width], words.values[p % width]) for p in found.tolist()]
        return codes, values

    def take(self, index: npt.NDArray[Any]) -> "Rows":
        """The rows of an index or a mask."""
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index
        return Rows(
            self.topic,
            self.tenant_words.take(index),
            self.user_words.take(index),
            self.item_words.take(index),
            self.types[index],
            self.times_ms[index],
            self.values[index],
            self.prices[index],
            self.category_cells.take(index, 1),
            self.category_values,
            self.offsets[index],
            None if self.payloads is None else self.payloads[index],
        )

    @classmethod
    def concat(cls, parts: Sequence["Rows"], topic: str | None = None) -> "Rows":
        """Rows one after the other; rows of several topics become those of ``topic``.

        Raises:
            ValueError: the topics differ and no ``topic`` is given.
        """
        topics = {p.topic for p in parts}
        if topic is None and len(topics) != 1:
            raise ValueError(f"rows of the topics {sorted(topics)} are no batch of one topic")
        words: dict[str, Any] = {
            f.name: Words.concat([getattr(p, f.name) for p in parts]) for f in fields(cls) if f.name.endswith("_words")
        }
        plain: dict[str, Any] = {
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in ("types", "times_ms", "values", "prices", "offsets")
        }
        categories = Words.concat([Words(p.category_cells.columns[0], p.category_values) for p in parts])
        lengths = np.concatenate([np.diff(p.category_cells.offsets) for p in parts])
        payloads = [np.full(len(p), None) if p.payloads is None else p.payloads for p in parts]
        return cls(
            topic=topics.pop() if topic is None else topic,
            **words,
            **plain,
            category_cells=Ragged(offsets_of(lengths), (categories.codes,)),
            category_values=categories.values,
            payloads=None if all(p.payloads is None for p in parts) else np.concatenate(payloads),
        )

    @classmethod
    def from_events(
        cls, events: Sequence[events_pb2.Event], views: Types, offsets: Sequence[int] | None = None
    ) -> "Rows":
        """Rows of decoded events; ``offsets`` are their places in the partition.

        Raises:
            SnowmeltError: UNKNOWN_EVENT_TYPE.
        """
        return cls(**wire.events(events, views, offsets))

    @classmethod
    def from_impressions(
        cls, slates: Sequence[events_pb2.Impression], views: Types, offsets: Sequence[int] | None = None
    ) -> "Rows":
        """One row an item shown, of type "impression" and without a user: a slate is nothing that its user did."""
        return cls(**wire.impressions(slates, views, offsets))

    @classmethod
    def from_catalog(
        cls,
        changes: Sequence[events_pb2.CatalogChange],
        payloads: Sequence[bytes],
        offsets: Sequence[int] | None = None,
    ) -> "Rows":
        """Rows of decoded catalogue changes with the raw bytes that they were decoded from."""
        return cls(**wire.catalog(changes, payloads, offsets))

    @classmethod
    def from_arrow_events(cls, table: Any, views: Types) -> "Rows":
        """Rows of the lake's table events (columns ``arrow.EVENT_COLUMNS``).

        Raises:
            SnowmeltError: UNKNOWN_EVENT_TYPE.
        """
        return cls(**arrow.events(table, views))

    @classmethod
    def from_arrow_impressions(cls, table: Any, views: Types) -> "Rows":
        """Rows of the lake's table impressions (columns ``arrow.IMPRESSION_COLUMNS``), one an item shown."""
        return cls(**arrow.impressions(table, views))

    @classmethod
    def from_arrow_catalog(cls, table: Any) -> "Rows":
        """Rows of the lake's table catalog (columns ``arrow.CATALOG_COLUMNS``)."""
        return cls(**arrow.catalog(table))
