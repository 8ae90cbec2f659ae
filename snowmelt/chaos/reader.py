"""A reader of the lake while it is written: each version of each table, as it comes, must hold a whole prefix.

It reads Delta's own log and the files that a version adds, with nothing of the lane's code; what deltalake makes of the
same version is compared with it. What acknowledgements say is compared at the end, as they may come after the rows.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from snowmelt.chaos.places import I64, OFFSET_BITS, PARTITION_BITS, place, places
from snowmelt.chaos.traffic import FIRST, INVALID, Acknowledged
from snowmelt.contracts.topics import LAKE_TOPICS
from snowmelt.lake import DEAD_LETTERS, TOPIC_TABLES, Lake

EVERY_S = 0.2
_SHOWN = 5
_OFFSET = (1 << OFFSET_BITS) - 1

Owner = tuple[str, int]
"""Topic and partition."""


@dataclass
class _Table:
    """What is known of one table at the version that was read last.

    Attributes:
        files: by path the places of its rows, in their order in the file.
        ends: by partition where the version says that it goes on.
        taken: the steps in which these came: partition, from, to, and the places of the rows that came with it.
    """

    name: str
    version: int = -1
    files: dict[str, I64] = field(default_factory=dict)
    ends: Counter[Owner] = field(default_factory=Counter)
    taken: list[tuple[Owner, int, int, I64]] = field(default_factory=list)


class Reader:
    """Follows the lake from a thread, to be used as a context manager; reads what is left at its end.

    Args:
        url: of a lake that is a folder.
        incarnations, partitions: by topic its id and how many partitions it has.

    Attributes:
        versions: how many were read.
        joined: how many of them had files joined.
    """

    def __init__(self, url: str, incarnations: Mapping[str, str], partitions: Mapping[str, int]) -> None:
        self._lake = Lake(url)
        self._owners = {
            f"{incarnations[topic]}/{topic}/{partition}": (topic, partition)
            for topic, count in partitions.items()
            for partition in range(count)
        }
        self._tables = [_Table(name) for name in (*TOPIC_TABLES.values(), DEAD_LETTERS)]
        self.versions = self.joined = 0
        self._wrong: list[str] = []
        self._failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="reader", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def problems(self, told: Acknowledged) -> list[str]:
        """What was wrong with the versions that were read; asked after the end."""
        if self._failure is not None:
            raise self._failure
        wrong = self._wrong + [each for table in self._tables for each in _differing(table, told)]
        more = [f"reader: and {len(wrong) - _SHOWN} more of such"] if len(wrong) > _SHOWN else []
        return [f"reader: {each}" for each in wrong[:_SHOWN]] + more

    def _follow(self) -> None:
        try:
            while not self._stop.wait(EVERY_S):
                self._read_new()
            self._read_new()
        except BaseException as error:  # noqa: BLE001 - raised by ``problems``, in the calling thread
            self._failure = error

    def _read_new(self) -> None:
        for table in self._tables:
            handle = self._lake.handle(table.name)
            newest = int(handle.version())
            if newest == table.version:
                continue
            for version in range(table.version + 1, newest + 1):
                self._read_version(table, version)
            shown = {Path(uri).name for uri in handle.file_uris()}
            if shown != {Path(path).name for path in table.files}:
                self._say(table, newest, "deltalake shows other files than the log holds")

    def _read_version(self, table: _Table, version: int) -> None:
        folder = Path(self._lake.url, table.name)
        actions = [json.loads(line) for line in (folder / "_delta_log" / f"{version:020}.json").open()]
        added = {unquote(each["add"]["path"]) for each in actions if "add" in each}
        removed = {unquote(each["remove"]["path"]) for each in actions if "remove" in each}
        ends = {each["txn"]["appId"]: int(each["txn"]["version"]) for each in actions if "txn" in each}
        rows = {path: self._rows(table, folder / path) for path in sorted(added)}
        if removed:
            self._check_joined(table, version, [table.files.pop(path) for path in removed], list(rows.values()))
        else:
            self._check_appended(table, version, list(rows.values()), ends)
        table.files.update(rows)
        table.version = version
        self.versions += 1

    def _rows(self, table: _Table, path: Path) -> I64:
        of_letters = table.name == DEAD_LETTERS
        rows = pq.ParquetFile(path).read(["partition", "offset", *(["topic"] if of_letters else [])])
        if not of_letters:
            (topic,) = (topic for topic, name in TOPIC_TABLES.items() if name == table.name)
            return _places(topic, rows)
        parts = [_places(topic, rows.filter(pc.equal(rows["topic"], topic))) for topic in LAKE_TOPICS]
        return np.concatenate(parts)

    def _check_joined(self, table: _Table, version: int, before: list[I64], after: list[I64]) -> None:
        self.joined += 1
        if not np.array_equal(
            np.sort(np.concatenate(before)), np.sort(np.concatenate([*after, np.empty(0, np.int64)]))
        ):
            self._say(table, version, "joined files hold other rows than those they replace")

    def _check_appended(self, table: _Table, version: int, added: list[I64], ends: Mapping[str, int]) -> None:
        """Rows lie from where the partition was on to where it is now, in the order of the log."""
        rows = np.concatenate([*added, np.empty(0, np.int64)])
        owners = rows >> OFFSET_BITS
        came = {_owner(code): rows[owners == code] for code in np.unique(owners).tolist()}
        moved = {self._owners[name]: end for name, end in ends.items() if name in self._owners}
        for owner in came.keys() | moved.keys():
            mine, start = came.get(owner, np.empty(0, np.int64)), table.ends[owner]
            end, offsets = moved.get(owner, start), mine & _OFFSET
            if end < start:
                self._say(table, version, f"{owner} fell from {start} to {end}")
            if len(offsets) and offsets.min() < start:
                self._say(table, version, f"{owner} has rows before {start} again")
            if len(offsets) and offsets.max() >= end:
                self._say(table, version, f"{owner} has rows beyond {end}, where it says it is")
            if (np.diff(offsets) <= 0).any():
                self._say(table, version, f"rows of {owner} are twice or out of order")
            table.taken.append((owner, start, end, mine))
            table.ends[owner] = end

    def _say(self, table: _Table, version: int, what: str) -> None:
        self._wrong.append(f"{table.name}, version {version}: {what}")


def _places(topic: str, rows: pa.Table) -> I64:
    return places(topic, rows["partition"].to_numpy(), rows["offset"].to_numpy())


def _owner(code: int) -> Owner:
    return LAKE_TOPICS[code >> PARTITION_BITS], code & (1 << PARTITION_BITS) - 1


def _differing(table: _Table, told: Acknowledged) -> Iterator[str]:
    """Each step must hold the records acknowledged between its ends, no other and all of them."""
    kind = INVALID if table.name == DEAD_LETTERS else FIRST
    sent = {topic: told.of(topic, kind)[0] for topic in LAKE_TOPICS}
    for (topic, partition), start, end, mine in table.taken:
        first, last = place(topic, partition, start), place(topic, partition, end)
        low, high = np.searchsorted(sent[topic], [first, last])
        if not np.array_equal(sent[topic][low:high], mine):
            yield (
                f"{table.name}: {topic}/{partition} [{start}, {end}) came with {len(mine)} rows, "
                f"{high - low} were acknowledged there"
            )
