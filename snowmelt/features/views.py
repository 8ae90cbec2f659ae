"""Compiled views: what ``feast apply`` leaves for every process, and the folds, merges and values that follow."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features import records, state
from snowmelt.features.aggregations import AGGREGATIONS, Feature, Reading
from snowmelt.features.aggregations.base import Remembered
from snowmelt.features.kinds import FIXED, last
from snowmelt.features.plan import Plan, plan
from snowmelt.features.ragged import I64, Array, Ragged, of_cells
from snowmelt.features.reading import OnlineReading
from snowmelt.features.rows import Entities, Rows
from snowmelt.features.sections import Group, Section, groups

FORMAT = 1
SCALARS = ("float32", "float64")

Values = dict[str, Any]
"""By feature: float32[n] or float64[n], a list of n arrays, or a list of n payloads (bytes or None)."""


@dataclass(frozen=True, eq=False)
class Folded:
    """A batch's delta states, one an entity; ``named`` says of whom."""

    named: Entities
    states: list[bytes]

    @property
    def tenants(self) -> list[str]:
        """Whose each entity is."""
        return list(map(self.named.tenants.__getitem__, self.named.tenant_codes.tolist()))

    @property
    def entities(self) -> list[str]:
        """The users or items."""
        return self.named.names

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True)
class Decoded:
    """n states as columns.

    Attributes:
        parts: for each group of the view one Ragged; row r, section s of the group is cell
            r * len(group.sections) + s.
            Columns by kind: tiles (tile int64, value float64), decayed (key uint64, time int64, sum float64), newest
            (head uint64, key uint64), register (place int64, time float64), last (time int64, offset int64, payload
            object).
        size: n.
    """

    parts: tuple[Ragged, ...]
    size: int


@dataclass(frozen=True)
class CompiledView:
    """One view: the sections of its state and the features that are finished out of them.

    Attributes:
        entity: "user" or "item".
        topics: the topics whose rows it folds.
    """

    name: str
    entity: str
    topics: tuple[str, ...]
    sections: tuple[Section, ...]
    features: tuple[Feature, ...]
    event_types: tuple[str, ...]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The sections by group, in order."""
        return groups(self.sections)

    @cached_property
    def scalars(self) -> tuple[str, ...]:
        """The names of the features that are one number, sorted."""
        return tuple(sorted(feature.name for feature in self.features if feature.dtype in SCALARS))

    @cached_property
    def hash(self) -> str:
        """sha256 in hex of everything that shapes the view's state."""
        return _fingerprint([self.entity, sorted(self.topics), [asdict(s) for s in self.sections]])

    def fold(self, rows: Rows) -> Folded:
        """The delta states of a batch; rows of other topics or without the entity give nothing."""
        codes, entities = rows.user_entities if self.entity == "user" else rows.item_entities
        if rows.topic not in self.topics or not len(rows):
            return Folded(entities.take(np.empty(0, np.int64)), [])
        unnamed = ~np.fromiter(map(bool, entities.names), np.bool_, len(entities.names))
        parts, filled = [], np.zeros(len(unnamed), np.bool_)
        for group in self.groups:
            cells, columns = self._bag(group, rows, codes)
            cells, columns = _reduce(group, cells, columns)
            keep = ~unnamed[cells // len(group.sections)]
            cells, columns = cells[keep], tuple(c[keep] for c in columns)
            filled[cells // len(group.sections)] = True
            parts.append(of_cells(cells, len(entities.names) * len(group.sections), columns))
        kept = np.flatnonzero(filled)
        parts = [p.take(kept, len(g.sections)) for p, g in zip(parts, self.groups, strict=True)]
        return Folded(entities.take(kept), state.pack(self.groups, parts, len(kept)))

    def _bag(self, group: Group, rows: Rows, codes: I64) -> tuple[I64, tuple[Array, ...]]:
        width = len(group.sections)
        found = [records.of_rows(s, rows, self.event_types) for s in group.sections]
        cells = np.concatenate([codes[row] * width + place for place, (row, _) in enumerate(found)])
        return cells, tuple(np.concatenate(c) for c in zip(*(columns for _, columns in found), strict=True))

    def merge(self, one: bytes | None, other: bytes | None) -> bytes:
        """The state of what both hold; commutative and associative, and the same as Redis's merge.

        Raises:
            SnowmeltError: FEATURES_MISMATCH.
        """
        return self.merge_many([one], [other])[0]

    def merge_many(self, ones: Sequence[bytes | None], others: Sequence[bytes | None]) -> list[bytes]:
        """``merge`` of pairs."""
        size, parts = len(ones), []
        for group, a, b in zip(
            self.groups, state.unpack(self.groups, ones), state.unpack(self.groups, others), strict=True
        ):
            columns = tuple(np.concatenate(c) for c in zip(a.columns, b.columns, strict=True))
            cells, columns = _reduce(group, np.concatenate((a.cells, b.cells)), columns)
            parts.append(of_cells(cells, size * len(group.sections), columns))
        return state.pack(self.groups, parts, size)

    def decode(self, states: Sequence[bytes | None]) -> Decoded:
        """The states as columns; None and empty bytes are the state of nothing.

        Raises:
            SnowmeltError: FEATURES_MISMATCH.
        """
        return Decoded(tuple(state.unpack(self.groups, states)), len(states))

    def plan(self, names: Sequence[str] | None = None) -> Plan:
        """How the named features (None: all) are read; names that the view does not have are passed over."""
        key = None if names is None else tuple(names)
        if key not in self._plans:
            self._plans[key] = plan(self.sections, tuple(f for f in self.features if key is None or f.name in key))
        return self._plans[key]

    @cached_property
    def _plans(self) -> dict[tuple[str, ...] | None, Plan]:
        return {}

    def finish(self, states: Sequence[bytes | None], as_of_ms: int, names: Sequence[str] | None = None) -> Values:
        """The features (None: all) of n states at one instant; what only others need is not read.

        Raises:
            SnowmeltError: FEATURES_MISMATCH.
        """
        asked = self.plan(names)
        opened = asked.open(states)
        numbers = asked.numbers(opened, as_of_ms)
        return self.values(OnlineReading(asked, numbers.values, asked.lists(opened), as_of_ms), names)

    def values(self, reading: Reading, names: Sequence[str] | None = None) -> Values:
        """The features (None: all) out of a reading, in the view's order."""
        reading = Remembered(reading)
        return {f.name: _typed(AGGREGATIONS[f.function].finish(f, reading), f.dtype) for f in self.plan(names).features}


def _reduce(group: Group, cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    kind = FIXED.get(group.kind, last)
    return kind.reduce(group.sections, cells, columns)


def _typed(values: Any, dtype: str) -> Any:
    return values.astype(dtype) if isinstance(values, np.ndarray) else values


@dataclass(frozen=True)
class CompiledViews:
    """All views and the declared event types; a type's code is its place, so types are only ever appended."""

    event_types: tuple[str, ...]
    views: Mapping[str, CompiledView] = field(default_factory=dict)

    @cached_property
    def hash(self) -> str:
        """sha256 in hex of everything that shapes state; it names a generation of the online store."""
        return _fingerprint([FORMAT, self.event_types, sorted((v.name, v.hash) for v in self.views.values())])

    @cached_property
    def values_hash(self) -> str:
        """sha256 in hex of everything that shapes values, by name; it says what a model has learned from.

        A window or a function can change over the same state, and then ``hash`` does not.
        """
        features = [(v.name, sorted(map(asdict, v.features), key=itemgetter("name"))) for v in self.views.values()]
        return _fingerprint([self.hash, sorted(features, key=itemgetter(0))])

    def dumps(self) -> str:
        """The views as JSON, by name: Feast gives them in any order, and the same views are the same text."""
        views = [
            {k: getattr(v, k) for k in ("name", "entity", "topics", "hash")}
            | {"sections": [asdict(s) for s in v.sections], "features": [asdict(f) for f in v.features]}
            for _, v in sorted(self.views.items())
        ]
        return json.dumps(
            {"format": FORMAT, "hash": self.hash, "event_types": self.event_types, "views": views}, indent=1
        )

    @classmethod
    def loads(cls, text: str) -> "CompiledViews":
        """Views out of ``dumps``.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where the text is no such JSON or its hash is not that of its views.
        """
        try:
            document = json.loads(text)
            types = tuple(document["event_types"])
            views = cls(types, {v["name"]: _view(v, types) for v in document["views"]})
            whole = document["format"] == FORMAT and document["hash"] == views.hash
        except (ValueError, KeyError, TypeError) as error:
            raise SnowmeltError(Reason.FEATURES_MISMATCH, f"these are no compiled views: {error}") from None
        if not whole:
            raise SnowmeltError(Reason.FEATURES_MISMATCH, "the compiled views are damaged: run `feast apply` again")
        return views

    def dump(self, path: str | Path) -> None:
        """Writes the views, replacing the file in one step."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(target.name + ".new")
        fresh.write_text(self.dumps() + "\n")
        fresh.replace(target)

    @classmethod
    def load(cls, path: str | Path) -> "CompiledViews":
        """Reads the views.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where there are none, or they are damaged.
        """
        try:
            return cls.loads(Path(path).read_text(errors="replace"))
        except OSError:
            raise SnowmeltError(Reason.FEATURES_MISMATCH, "there are no compiled views: run `feast apply`") from None


def _view(document: dict[str, Any], event_types: tuple[str, ...]) -> CompiledView:
    features = [Feature(**{**f, "sections": tuple(f["sections"])}) for f in document["features"]]
    sections = tuple(Section(**s) for s in document["sections"])
    return CompiledView(
        document["name"], document["entity"], tuple(document["topics"]), sections, tuple(features), event_types
    )


def _fingerprint(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
