"""The lake's one door: create, append exactly once, read at a version, ask how far each partition has landed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import appending, compacting, reading, rewinding
from snowmelt.lake.app_versions import AppVersions
from snowmelt.lake.appending import Range, counter, owner
from snowmelt.lake.compacting import COMPACT_FILES
from snowmelt.lake.errors import lake_errors
from snowmelt.lake.schemas import DEAD_LETTERS, TABLES, TOPIC_TABLES, properties

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")

Partition = tuple[str, str, int]
"""Incarnation, topic, partition."""

_KEPT = ("duplicates", "dead", "watermark")


@dataclass(frozen=True)
class Progress:
    """One partition in its own table: the next offset, and what of the offsets before it were not rows.

    Attributes:
        watermark_ms: the newest event time of its rows; 0 where it was not kept.
    """

    next_offset: int
    duplicates: int
    dead: int
    watermark_ms: int = 0


class Lake:
    """Six Delta tables in one folder; not to be shared between threads.

    Every method raises SnowmeltError UNAVAILABLE where the lake does not answer.

    Args:
        url: a folder's path, or the same with ``file://`` in front.

    Raises:
        SnowmeltError: INVALID_FIELD for another scheme, and for a path that deltalake would take for another.
    """

    def __init__(self, url: str) -> None:
        self.url = url.removeprefix("file://").rstrip("/")
        detail = ""
        if "://" in self.url or (self.url != url.rstrip("/") and not self.url.startswith("/")):
            detail = f"the lake lies in a folder; {url} is not supported"
        elif found := _ESCAPE.search(self.url):
            detail = f"{found[0]} in the lake's path would be read as one sign: choose another folder than {self.url}"
        if detail:
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field="SNOWMELT_LAKE_URL")
        self._handles: dict[str, DeltaTable] = {}
        self._logs: dict[str, AppVersions] = {}

    @lake_errors()
    def create(self) -> None:
        """Makes the tables that are not there yet, and in those that are the columns that were added since.

        Raises:
            SnowmeltError: UNAVAILABLE where another process is doing the same; try again.
        """
        Path(self.url).mkdir(parents=True, exist_ok=True)
        for name, schema in TABLES.items():
            table = DeltaTable.create(f"{self.url}/{name}", schema, mode="ignore", configuration=properties(name))
            appending.widen(table, schema)

    @lake_errors()
    def handle(self, table: str, version: int | None = None) -> DeltaTable:
        """deltalake's handle at a version, by default the newest.

        Raises:
            SnowmeltError: NOT_FOUND where the table was not made yet.
        """
        place = f"{self.url}/{table}"
        try:
            if version is not None:
                return _at(place, table, version)
            if table not in self._handles:
                self._handles[table] = DeltaTable(place)
        except TableNotFoundError as error:
            detail = f"the lake at {self.url} has no table {table} yet: the lake lane of ingest makes it"
            raise SnowmeltError(Reason.NOT_FOUND, detail) from error
        self._handles[table].update_incremental()
        return self._handles[table]

    @lake_errors()
    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        filters: pc.Expression | None = None,
    ) -> pa.Table:
        """The rows at a version (default: newest), ordered by incarnation, partition and offset.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        return reading.read(self.handle(table, version), table, columns, filters)

    def batches(self, table: str, columns: Sequence[str], version: int, rows: int) -> Iterator[pa.Table]:
        """The rows of a version in no order, about ``rows`` at a time, so that a table need not fit into memory.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        with lake_errors():
            yield from reading.batches(self.handle(table, version), table, columns, rows)

    @lake_errors()
    def rows(self, table: str, version: int | None = None) -> int:
        """How many rows a version holds, out of the log alone.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        return int(pc.sum(pa.table(self.handle(table, version).get_add_actions())["num_records"]).as_py() or 0)

    def version(self, table: str) -> int:
        """The newest version of a table.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        return int(self.handle(table).version())

    def versions(self) -> dict[str, int]:
        """The newest version of each table; pass them to ``read`` to see one state of the lake."""
        return {table: self.version(table) for table in TABLES}

    @lake_errors()
    def append(self, table: str, rows: pa.Table, ranges: Sequence[Range]) -> None:
        """Lands the rows of these ranges exactly once; dead letters leave out what an earlier attempt has landed.

        Raises:
            FencedError: another writer has moved a partition; nothing was written.
            SnowmeltError: UNAVAILABLE; nothing was written.
        """
        log = self._logs.get(table) or self._newest(table)
        write = appending.append_dead if table == DEAD_LETTERS else appending.append
        write(log, rows, ranges)

    @lake_errors()
    def progress(
        self, table: str, wanted: Sequence[Partition], version: int | None = None
    ) -> dict[Partition, Progress]:
        """How far each wanted partition has landed; those never touched are absent.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        handle = self.handle(table, version)
        found: dict[Partition, Progress] = {}
        for key in wanted:
            name = owner(*key)
            end = handle.transaction_version(name)
            if end is not None:
                sums = (handle.transaction_version(counter(kind, name)) or 0 for kind in _KEPT)
                found[key] = Progress(end, *sums)
        return found

    @lake_errors()
    def ends(self, table: str, wanted: Sequence[Partition]) -> dict[Partition, int]:
        """The next offset of each wanted partition alone; 0 where nothing has landed.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        handle = self.handle(table)
        return {key: handle.transaction_version(owner(*key)) or 0 for key in wanted}

    @lake_errors()
    def rewind(self, table: str, offsets: Mapping[Partition, int]) -> None:
        """Takes partitions back to earlier offsets: rows, dead letters and offsets; a lane then reads on from there.

        Raises:
            SnowmeltError: NOT_FOUND, or UNAVAILABLE: the same call goes on from where it ended.
        """
        rewinding.rewind(self.handle(table), self.handle(DEAD_LETTERS), table, offsets)

    @lake_errors()
    def unfinished(self, table: str, wanted: Sequence[Partition]) -> dict[Partition, int]:
        """Where partitions were being taken back to when that ended half way.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        return rewinding.unfinished(self.handle(table), list(wanted))

    @lake_errors()
    def next_offsets(self, table: str, version: int | None = None) -> dict[Partition, int]:
        """The next offset of every partition that a table holds rows of, or dead letters.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        topic = next(name for name, own in TOPIC_TABLES.items() if own == table)
        known = reading.partitions(self.handle(table, version)) | reading.partitions(self.handle(DEAD_LETTERS))
        places = [(incarnation, topic, partition) for incarnation, partition in sorted(known)]
        return {key: each.next_offset for key, each in self.progress(table, places, version).items()}

    def since(self, table: str, columns: Sequence[str], starts: Mapping[tuple[str, int], int]) -> pa.Table:
        """The rows at or beyond an offset of some partitions ((incarnation, partition) -> offset).

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        keep = pc.scalar(False)
        for (incarnation, partition), offset in starts.items():
            mine = (pc.field("incarnation") == incarnation) & (pc.field("partition") == partition)
            keep = keep | (mine & (pc.field("offset") >= offset))
        return self.read(table, columns, filters=keep)

    @lake_errors()
    def add(self, table: str, rows: pa.Table) -> None:
        """Appends rows that belong to no range of offsets: twice where it is called twice.

        Raises:
            SnowmeltError: UNAVAILABLE or NOT_FOUND.
        """
        appending.mark(self._newest(table), rows, "", {})

    @lake_errors()
    def mark(self, table: str, kind: str, values: Mapping[Partition, int]) -> None:
        """Keeps a number of some partitions in a table's log; it does not move what ``progress`` tells.

        Raises:
            SnowmeltError: UNAVAILABLE or NOT_FOUND.
        """
        named = {owner(*key): value for key, value in values.items()}
        appending.mark(self._newest(table), TABLES[table].empty_table(), kind, named)

    @lake_errors()
    def marks(self, table: str, kind: str, wanted: Sequence[Partition]) -> dict[Partition, int]:
        """What ``mark`` has kept of these partitions; 0 where there is nothing.

        Raises:
            SnowmeltError: NOT_FOUND.
        """
        handle = self.handle(table)
        return {key: handle.transaction_version(counter(kind, owner(*key))) or 0 for key in wanted}

    @lake_errors()
    def scattered(self, table: str, files: int = COMPACT_FILES) -> bool:
        """Whether a table has so many small files."""
        return compacting.scattered(self.handle(table), files)

    @lake_errors()
    def compact(self, table: str, files: int = COMPACT_FILES) -> int:
        """Joins small files where there are so many and nobody else is at it; returns how many were joined.

        Old versions stay readable. A lake that is no folder is left as it is.
        """
        return compacting.compact(self.url, table, files)

    def _newest(self, table: str) -> AppVersions:
        handle = self.handle(table)
        return self._logs.setdefault(table, AppVersions(handle))


def _at(place: str, table: str, version: int) -> DeltaTable:
    try:
        return DeltaTable(place, version=version)
    except DeltaError as error:
        newest = DeltaTable(place).version()
        detail = (
            f"version {version} of {table} is not there: the newest is {newest}, and Delta's log lets go of versions "
            "after 30 days"
        )
        raise SnowmeltError(Reason.NOT_FOUND, detail) from error
