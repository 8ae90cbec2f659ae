"""Joins a table's small files, one process at a time; ADR 0015.

delta-rs lets two joinings of the same files both succeed, and every row is then there twice: it takes no note that the
files which the second one replaces are gone. A lock of the operating system keeps all others out, and ends with its
process. An address that is no folder has no such lock, and its tables are left as they are.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from snowmelt.lake import parquet

SMALL_BYTES = 32 * 1024 * 1024
COMPACT_FILES = 64
_WRITER = parquet.writer(131_072)
"""A row group is held in memory until it is whole; delta-rs's own has 1,048,576 rows."""


def scattered(handle: DeltaTable, files: int) -> bool:
    """Whether a table has so many small files."""
    sizes = pa.table(handle.get_add_actions())["size_bytes"].to_numpy()
    return int((sizes < SMALL_BYTES).sum()) >= files


def compact(lake: str, table: str, files: int) -> int:
    """Joins small files where there are so many, and nobody else is at it; returns how many were joined."""
    with _alone(Path(lake, f".{table}.compaction")) as alone:
        if not alone:
            return 0
        handle = DeltaTable(f"{lake}/{table}")  # read under the lock: what another has joined before is known
        if not scattered(handle, files):
            return 0
        try:
            done = handle.optimize.compact(
                target_size=2 * SMALL_BYTES, max_concurrent_tasks=1, writer_properties=_WRITER
            )
            return int(done["numFilesRemoved"])
        except CommitFailedError:
            return 0  # rows were taken back meanwhile


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
