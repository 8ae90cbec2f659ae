"""A lake lane that commits its offsets before it writes: what the checker must see."""

import threading
from pathlib import Path
from typing import Any

from deltalake import write_deltalake

from services.ingest.config import IngestSettings
from services.ingest.crash import CrashPoints
from services.ingest.land import LakeSink
from services.ingest.ports import Sink
from services.ingest.server import DeclaredTypes, run
from snowmelt.lake import TABLES, TOPIC_TABLES, Lake, Range
from snowmelt.runtime.lifecycle import run as run_process


class OffsetsFirst(LakeSink):
    def __init__(self, lake: Lake, *rest: Any) -> None:
        super().__init__(lake, *rest)
        self._broken_lake = lake

    def commit(self, table: str, rows: Any, ranges: list[Range]) -> None:
        self._broken_lake.append(table, TABLES[table].empty_table(), ranges)
        self._crash.passing("after_commit")
        write_deltalake(f"{self._broken_lake.url}/{table}", rows, mode="append")


def make(settings: IngestSettings, incarnations: dict[str, str], crash: CrashPoints) -> Sink:
    lake = Lake(settings.lake_url)
    lake.create()
    assert TOPIC_TABLES
    return OffsetsFirst(lake, incarnations, DeclaredTypes(Path(settings.views_path)), crash)


def main(stop: threading.Event) -> None:
    run(IngestSettings.load(), stop, make)


if __name__ == "__main__":
    run_process("broken-lake", main)
