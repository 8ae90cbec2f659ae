"""A lake lane that commits its offsets after its rows, in another commit: what the checker must see."""

import threading
from pathlib import Path
from typing import Any

from deltalake import write_deltalake

from services.ingest.config import IngestSettings
from services.ingest.crash import CrashPoints
from services.ingest.land import LakeSink
from services.ingest.ports import Sink
from services.ingest.server import DeclaredTypes, run
from snowmelt.lake import TABLES, Lake, Range
from snowmelt.runtime.lifecycle import run as run_process


class RowsFirst(LakeSink):
    def commit(self, table: str, rows: Any, ranges: list[Range]) -> None:
        write_deltalake(f"{self._lake.url}/{table}", rows, mode="append")
        self._crash.passing("after_commit")
        self._lake.append(table, TABLES[table].empty_table(), ranges)


def make(settings: IngestSettings, incarnations: dict[str, str], crash: CrashPoints) -> Sink:
    lake = Lake(settings.lake_url)
    lake.create()
    return RowsFirst(lake, incarnations, DeclaredTypes(Path(settings.views_path)), crash)


def main(stop: threading.Event) -> None:
    run(IngestSettings.load(), stop, make)


if __name__ == "__main__":
    run_process("broken-rows-first", main)
