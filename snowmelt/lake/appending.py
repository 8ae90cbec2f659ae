"""Exactly-once append: the rows of a range of offsets and the range's end become visible together, or not at all.

delta-rs keeps a version for each application id and lets a commit fail where another writer has moved it since the
handle was loaded; it does not compare versions by itself. So: compare on the handle, write with the same handle, and
take a failed commit for another owner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import parquet, reading
from snowmelt.lake.app_versions import AppVersions
from snowmelt.lake.schemas import DEAD_LETTERS

COMMIT_RETRIES = 15
"""Against commits that do not concern us, such as a compaction."""
_WRITER = parquet.writer()


@dataclass(frozen=True)
class Range:
    """Offsets [start, end) of one partition, and how many of them were duplicates or dead letters.

    Attributes:
        watermark_ms: the newest event time of the partition's rows before ``end``; 0: not known.
    """

    incarnation: str
    topic: str
    partition: int
    start: int
    end: int
    duplicates: int = 0
    dead: int = 0
    watermark_ms: int = 0

    @property
    def owner(self) -> str:
        """The application id under which Delta keeps the partition's next offset."""
        return owner(self.incarnation, self.topic, self.partition)


def owner(incarnation: str, topic: str, partition: int) -> str:
    """The application id of a partition."""
    return f"{incarnation}/{topic}/{partition}"


def counter(kind: str, owner_id: str) -> str:
    """The application id under which a number of a partition is kept beside the offset: ``duplicates``, ``dead`` …"""
    return f"{kind}:{owner_id}"


def rewinding(owner_id: str) -> str:
    """The application id that holds 1 + the offset that a partition is being taken back to, else 0."""
    return f"rewinding:{owner_id}"


def rewound_to(log: AppVersions, owner_id: str) -> int | None:
    """Where a partition is being taken back to; None where it is not."""
    mark = log.of(rewinding(owner_id))
    return mark - 1 if mark else None


class FencedError(Exception):
    """Another writer has moved a partition: drop what is buffered and go on at ``next_offsets`` (by owner)."""

    def __init__(self, next_offsets: dict[str, int | None]) -> None:
        super().__init__(", ".join(f"{key} is at {value}" for key, value in next_offsets.items()))
        self.next_offsets = next_offsets


def append(log: AppVersions, rows: pa.Table, ranges: Sequence[Range]) -> None:
    """Commits rows and the ends of their ranges.

    Raises:
        FencedError: a partition is not where its range starts; nothing was written.
        SnowmeltError: UNAVAILABLE, also while a partition is being taken back; nothing was written.
    """
    back = {each: rewound_to(log, each.owner) for each in ranges}
    if any(offset is not None for offset in back.values()):
        log.table.update_incremental()
        back = {each: rewound_to(log, each.owner) for each in ranges}
    before = {each.owner: log.of(each.owner) for each in ranges}
    # A range from 0 may be a partition's first.
    if gone := {each.owner: before[each.owner] for each in ranges if (before[each.owner] or 0) != each.start}:
        raise FencedError(gone)
    for each, offset in back.items():
        if offset is not None:
            place = f"{each.topic}/{each.partition}"
            detail = f"{place} is being taken back to offset {offset}; where that was broken off, run it again"
            raise SnowmeltError(Reason.UNAVAILABLE, detail)
    written: dict[str, int] = {}
    for each in ranges:
        written[each.owner] = each.end
        for kind, count in (("duplicates", each.duplicates), ("dead", each.dead)):
            if count:
                key = counter(kind, each.owner)
                written[key] = (log.of(key) or 0) + count
        if each.watermark_ms:
            written[counter("watermark", each.owner)] = each.watermark_ms
    commit(log, rows, written, before, {each.owner: each.end for each in ranges})


def append_dead(log: AppVersions, rows: pa.Table, ranges: Sequence[Range]) -> None:
    """Commits dead letters, leaving out those that an earlier attempt at their range has committed already.

    Only ranges with rows move the table's offsets. None at or beyond a partition's offset is there yet; of those before
    it the table itself says whether they are.

    Raises:
        FencedError: another writer committed dead letters of a partition meanwhile; nothing was written.
        SnowmeltError: UNAVAILABLE; nothing was written.
    """
    places = [(owner(*key[:3]), key[3]) for key in _places(rows)]
    done = _ends(log, places)
    if any(offset < done[key] for key, offset in places):
        # What this handle knows may have been taken back since, which no commit would show.
        log.table.update_incremental()
        done = _ends(log, places)
    early = [offset for key, offset in places if offset < done[key]]
    there = _there(log.table, rows, min(early)) if early else set()
    fresh = rows.filter(pa.array([place not in there for place in places], pa.bool_()))
    if len(fresh) == 0:
        return
    touched = [each for each in ranges if each.owner in done]
    ends = {each.owner: max(each.end, done[each.owner]) for each in touched}
    commit(log, fresh, ends, {own: log.of(own) for own in ends}, ends)


def _ends(log: AppVersions, places: Sequence[tuple[str, int]]) -> dict[str, int]:
    return {key: log.of(key) or 0 for key in {key for key, _ in places}}


def _places(rows: pa.Table) -> list[tuple[str, str, int, int]]:
    columns = ("incarnation", "topic", "partition", "offset")
    return list(zip(*(rows[name].to_pylist() for name in columns), strict=True))


def _there(table: DeltaTable, rows: pa.Table, start: int) -> set[tuple[str, int]]:
    """Owner and offset of the letters from ``start`` on that the table holds of the partitions of ``rows``."""
    mine = pc.field("partition").isin(pc.unique(rows["partition"])) & (pc.field("offset") >= start)
    found = reading.read(table, DEAD_LETTERS, ["incarnation", "topic", "partition", "offset"], mine)
    return {(owner(*key[:3]), key[3]) for key in _places(found)}


def mark(log: AppVersions, rows: pa.Table, kind: str, values: Mapping[str, int]) -> None:
    """Commits rows that belong to no range, and numbers of a kind by owner.

    Raises:
        SnowmeltError: UNAVAILABLE; nothing was written.
    """
    try:
        _write(log, rows, {counter(kind, own): value for own, value in values.items()})
    except (CommitFailedError, DeltaError, OSError) as error:
        raise SnowmeltError(Reason.UNAVAILABLE, f"the lake did not take the commit: {error}") from error


def commit(
    log: AppVersions,
    rows: pa.Table,
    written: Mapping[str, int],
    before: Mapping[str, int | None],
    after: Mapping[str, int],
) -> None:
    """Writes with the handle whose versions were compared; an unclear end is looked up, never tried again blindly.

    Args:
        log: as the handle knows it.
        rows: what to add.
        written: by application id what to note.
        before: by owner where its partition is on the handle.
        after: by owner where the commit takes it.

    Raises:
        FencedError: another writer has moved a partition; nothing was written.
        SnowmeltError: UNAVAILABLE; nothing was written.
    """
    try:
        _write(log, rows, written)
    except (CommitFailedError, DeltaError, OSError) as error:
        log.table.update_incremental()
        now = {own: log.of(own) for own in before}
        if not isinstance(error, CommitFailedError) and now == after:
            return
        if now != before:
            raise FencedError(now) from error
        raise SnowmeltError(Reason.UNAVAILABLE, f"the lake did not take the commit: {error}") from error


def _write(log: AppVersions, rows: pa.Table, written: Mapping[str, int]) -> None:
    version = log.table.version()
    noted = [Transaction(app_id, number) for app_id, number in written.items()]
    write_deltalake(
        log.table,
        rows,
        mode="append",
        writer_properties=_WRITER,
        commit_properties=CommitProperties(app_transactions=noted, max_commit_retries=COMMIT_RETRIES),
    )
    log.committed(version, written)


def widen(table: DeltaTable, schema: pa.Schema) -> None:
    """Adds the columns that the table lacks, all of them nullable.

    Raises:
        SnowmeltError: UNAVAILABLE where another process moved the table meanwhile.
    """
    known = {field.name for field in table.schema().fields}
    if lacking := [field for field in schema if field.name not in known]:
        try:
            table.alter.add_columns(Schema.from_arrow(pa.schema(lacking)).fields)
        except CommitFailedError as error:
            raise SnowmeltError(Reason.UNAVAILABLE, f"the lake did not take new columns: {error}") from error
