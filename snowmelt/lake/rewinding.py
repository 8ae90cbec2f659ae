"""Takes partitions of a table back to earlier offsets, so that the lane reads their records again; ADR 0009.

Three commits, each safe to repeat: a mark that no append passes (it also writes the offsets as they are, so that what a
lane prepared with an older handle fails); the dead letters of the offsets taken back; the rows
together with their offsets and the mark's end. A version of the table holds a whole prefix of each partition.
"""

import time
from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import parquet, reading
from snowmelt.lake.app_versions import AppVersions
from snowmelt.lake.appending import counter, owner, rewinding, rewound_to
from snowmelt.lake.schemas import DEAD_LETTERS, TABLES

Partition = tuple[str, str, int]
"""Incarnation, topic, partition."""

ATTEMPTS = 20
"""Against a lane that commits at the same moment; once the mark is there it does not."""
_WRITER = parquet.writer()


def rewind(table: DeltaTable, dead: DeltaTable, name: str, offsets: Mapping[Partition, int]) -> None:
    """Removes what lies at or beyond these offsets, and sets the partitions' next offsets there.

    Args:
        table: of one topic, whose name in the lake is ``name``.
        dead: the dead letters.
        name: the table's name.
        offsets: where each partition goes back to; one that is not beyond it stays as it is.

    Raises:
        SnowmeltError: UNAVAILABLE where the lake does not take a commit; the same call goes on from there.
    """
    table.update_incremental()
    back = {key: offset for key, offset in offsets.items() if offset < _position(table, key)}
    back |= {key: min(offset, offsets.get(key, offset)) for key, offset in unfinished(table, list(offsets)).items()}
    if not back:
        return
    marks = [Transaction(rewinding(owner(*key)), offset + 1) for key, offset in back.items()]
    _commit(table, name, lambda: [Transaction(owner(*key), _position(table, key)) for key in back] + marks)
    _delete(
        dead,
        DEAD_LETTERS,
        back,
        lambda: [Transaction(owner(*k), min(_position(dead, k), at)) for k, at in back.items()],
    )
    _delete(table, name, back, lambda: _ends(table, dead, name, back))


def unfinished(table: DeltaTable, keys: list[Partition]) -> dict[Partition, int]:
    """Where partitions were being taken back to when that ended half way."""
    log = AppVersions(table)
    found = {key: rewound_to(log, owner(*key)) for key in keys}
    return {key: offset for key, offset in found.items() if offset is not None}


def _position(table: DeltaTable, key: Partition) -> int:
    return table.transaction_version(owner(*key)) or 0


def _ends(table: DeltaTable, dead: DeltaTable, name: str, back: Mapping[Partition, int]) -> list[Transaction]:
    rows, letters = _counts(table, name, back), _counts(dead, DEAD_LETTERS, back)
    found = []
    for key, offset in back.items():
        own = owner(*key)
        twice, lost = (table.transaction_version(counter(kind, own)) or 0 for kind in ("duplicates", "dead"))
        dead_before, taken_back = letters[key][0], max(0, _position(table, key) - offset)
        removed = max(0, taken_back - rows[key][1] - max(0, lost - dead_before))
        found += [
            Transaction(own, offset),
            Transaction(counter("duplicates", own), max(0, twice - removed)),
            Transaction(counter("dead", own), dead_before),
            Transaction(rewinding(own), 0),
        ]
        if table.transaction_version(counter("watermark", own)):
            found.append(Transaction(counter("watermark", own), _newest_ms(table, name, key, offset)))
    return found


def _newest_ms(table: DeltaTable, name: str, key: Partition, offset: int) -> int:
    """The newest event time of a partition's rows before an offset; 0 where there are none."""
    mine = (pc.field("incarnation") == key[0]) & (pc.field("partition") == key[2]) & (pc.field("offset") < offset)
    newest = pc.max(reading.read(table, name, ["event_time"], mine)["event_time"]).as_py()
    return int(newest.timestamp() * 1000) if newest else 0


def _counts(table: DeltaTable, name: str, back: Mapping[Partition, int]) -> dict[Partition, tuple[int, int]]:
    """By partition how many rows lie before the offset it goes back to, and how many at or beyond it."""
    columns = ["incarnation", "partition", "offset"] + (["topic"] if name == DEAD_LETTERS else [])
    rows = reading.read(table, name, columns)
    found = {}
    for key, offset in back.items():
        mine = _mine(rows, key)
        beyond = pc.and_(mine, pc.greater_equal(rows["offset"], offset))
        total, after = (int(pc.sum(each).as_py() or 0) for each in (mine, beyond))
        found[key] = (total - after, after)
    return found


def _mine(rows: pa.Table, key: Partition) -> pa.ChunkedArray:
    mine = pc.and_(pc.equal(rows["incarnation"], key[0]), pc.equal(rows["partition"], key[2]))
    return pc.and_(mine, pc.equal(rows["topic"], key[1])) if "topic" in rows.column_names else mine


def _commit(table: DeltaTable, name: str, transactions: Callable[[], list[Transaction]]) -> None:
    """Writes transaction versions alone."""
    _again(
        table,
        lambda: write_deltalake(
            table, TABLES[name].empty_table(), mode="append", commit_properties=_properties(transactions())
        ),
    )


def _delete(
    table: DeltaTable, name: str, back: Mapping[Partition, int], transactions: Callable[[], list[Transaction]]
) -> None:
    """Removes the rows at or beyond the offsets, and writes transaction versions in the same commit."""
    predicate = " OR ".join(
        f"(incarnation = '{incarnation}' AND partition = {partition} AND \"offset\" >= {offset}"
        + (f" AND topic = '{topic}')" if name == DEAD_LETTERS else ")")
        for (incarnation, topic, partition), offset in back.items()
    )

    def work() -> None:
        before = table.version()
        table.delete(predicate, writer_properties=_WRITER, commit_properties=_properties(transactions()))
        if table.version() == before:  # nothing matched, so that nothing was committed
            rows = TABLES[name].empty_table()
            write_deltalake(table, rows, mode="append", commit_properties=_properties(transactions()))

    _again(table, work)


def _properties(transactions: list[Transaction]) -> CommitProperties:
    return CommitProperties(app_transactions=transactions, max_commit_retries=0)


def _again(table: DeltaTable, work: Callable[[], object]) -> None:
    for attempt in range(ATTEMPTS):
        table.update_incremental()
        try:
            work()
        except CommitFailedError as error:
            if attempt == ATTEMPTS - 1:
                detail = f"the lake did not take the commit: {error}; run the same command again"
                raise SnowmeltError(Reason.UNAVAILABLE, detail) from error
            time.sleep(0.05 * (attempt + 1))
        else:
            return
