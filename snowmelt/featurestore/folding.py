"""A version of the lake as full states: each entity's once, in portions that fit into memory, whatever the lake's size.

Entities are dealt out over units by their key. A pass reads the lake and keeps the rows of some units, at most about
``PASS_ROWS``; each unit is then folded whole, so that nothing is ever merged. A lake of up to ``PASS_ROWS`` rows takes
one pass.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from snowmelt.contracts.ids import BUCKETS, Keys
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.arrow import CATALOG_COLUMNS, EVENT_COLUMNS, IMPRESSION_COLUMNS
from snowmelt.features.ragged import I64
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews, Folded
from snowmelt.lake import TOPIC_TABLES, Lake

PASS_ROWS = 2_000_000
UNIT_ROWS = 128_000
READ_ROWS = 128_000
SHOWN = 16
"""Items that a slate is taken to show, where memory is planned; a slate of more costs memory and nothing else."""

COLUMNS = {EVENTS: EVENT_COLUMNS, IMPRESSIONS: IMPRESSION_COLUMNS, CATALOG: CATALOG_COLUMNS}
KINDS = ("user", "item")

Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""


class Folding:
    """The fold of the tables at ``versions`` by ``views``.

    Attributes:
        counts: records by (incarnation, topic, partition), complete once ``states`` has given its first.
    """

    def __init__(self, lake: Lake, versions: Mapping[str, int], views: CompiledViews, progress: Progress) -> None:
        self._lake, self._versions, self._views, self._progress = lake, versions, views, progress
        self._topics = {kind: _topics(views, kind) for kind in KINDS}
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self._counted: set[str] = set()

    def states(self) -> Iterator[tuple[int, Folded]]:
        """The states of some entities by the view of an index; no entity comes twice in a view.

        Raises:
            SnowmeltError: NOT_FOUND; UNKNOWN_EVENT_TYPE where the views do not declare what the lake holds.
        """
        for kind, topics in self._topics.items():
            total = sum(self._sizes[topic] for topic in topics)
            passes = max(1, -(-total // PASS_ROWS))
            units = passes * max(1, -(-total // passes // UNIT_ROWS))
            for number in range(passes):
                held = {topic: self._held(kind, topic, number, passes) for topic in topics}
                ordered = {topic: _by_unit(kind, rows, units) for topic, rows in held.items() if rows is not None}
                for done, unit in enumerate(range(number, units, passes)):
                    parts = {topic: _unit(*whole, unit) for topic, whole in ordered.items()}
                    yield from self._folded(kind, parts)
                    self._progress(f"states of {kind}s", number * (units // passes) + done + 1, units)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Rows by topic, of impressions the items that they show, about."""
        found = {topic: self._lake.rows(TOPIC_TABLES[topic], self._versions[TOPIC_TABLES[topic]]) for topic in COLUMNS}
        return found | {IMPRESSIONS: found[IMPRESSIONS] * SHOWN}

    def _folded(self, kind: str, parts: Mapping[str, Rows]) -> Iterator[tuple[int, Folded]]:
        for index, view in enumerate(self._views.views.values()):
            mine = [parts[topic] for topic in view.topics if topic in parts and len(parts[topic])]
            if view.entity == kind and mine:
                # Of one topic, so that one fold sees all rows of an entity.
                yield index, view.fold(mine[0] if len(mine) == 1 else Rows.concat(mine, mine[0].topic))

    def _held(self, kind: str, topic: str, number: int, passes: int) -> Rows | None:
        found = []
        for table in self._tables(topic):
            rows = self._rows(topic, table)
            if passes > 1:
                mine = _spread(kind, rows) % np.uint64(passes) == number
                rows = _narrowed(rows.take(np.flatnonzero(mine)))
            if len(rows):
                found.append(rows)
        return Rows.concat(found) if found else None

    def _tables(self, topic: str) -> Iterator[pa.Table]:
        table, counting = TOPIC_TABLES[topic], topic not in self._counted
        self._counted.add(topic)
        columns = [*COLUMNS[topic], *(("incarnation", "partition") if counting else ())]
        done, total = 0, self._lake.rows(table, self._versions[table])
        size = READ_ROWS // (SHOWN if topic == IMPRESSIONS else 1)
        for rows in self._lake.batches(table, columns, self._versions[table], size):
            if counting:
                self._count(topic, rows)
                done += len(rows)
                self._progress(topic, done, total)
            yield rows

    def _count(self, topic: str, rows: pa.Table) -> None:
        sums = rows.group_by(["incarnation", "partition"]).aggregate([([], "count_all")]).to_pydict()
        columns = (sums[name] for name in ("incarnation", "partition", "count_all"))
        for incarnation, partition, count in zip(*columns, strict=True):
            self.counts[incarnation, topic, partition] += count

    def _rows(self, topic: str, table: pa.Table) -> Rows:
        if topic == EVENTS:
            return Rows.from_arrow_events(table, self._views)
        if topic == IMPRESSIONS:
            return Rows.from_arrow_impressions(table, self._views)
        return Rows.from_arrow_catalog(table)


def _topics(views: CompiledViews, kind: str) -> tuple[str, ...]:
    wanted = {topic for view in views.views.values() if view.entity == kind for topic in view.topics}
    return tuple(topic for topic in FEATURE_TOPICS if topic in wanted)


def _spread(kind: str, rows: Rows) -> Keys:
    """What units are told by: the key without what tells its bucket, so that each unit has entities of all buckets."""
    codes, entities = rows.user_entities if kind == "user" else rows.item_entities
    return (entities.keys // np.uint64(BUCKETS))[codes]


def _by_unit(kind: str, rows: Rows, units: int) -> tuple[Rows, I64]:
    """The rows in order of their unit, and where each unit begins: int64[units + 1]."""
    unit = _spread(kind, rows) % np.uint64(units)
    order = np.argsort(unit, kind="stable")
    return rows.take(order), np.searchsorted(unit[order], np.arange(units + 1, dtype=np.uint64))


def _unit(rows: Rows, bounds: I64, unit: int) -> Rows:
    return _narrowed(rows.take(np.arange(bounds[unit], bounds[unit + 1])))


def _narrowed(rows: Rows) -> Rows:
    words = {name: getattr(rows, name).narrowed() for name in ("user_words", "item_words")}
    return dataclasses.replace(rows, **words)
