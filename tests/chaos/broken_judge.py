"""A lake lane that lets the wrong key pass and forgets what is too large: what the checker must see."""

import threading
from collections.abc import Mapping
from typing import Any

from services.ingest import decode, land
from services.ingest.batch import Batch
from services.ingest.config import IngestSettings
from services.ingest.server import run
from services.ingest.verdicts import Verdict, Why, dead_rows
from snowmelt.runtime.lifecycle import run as run_process


def forgetful(batch: Batch, verdicts: Mapping[int, Verdict], incarnation: str) -> Any:
    some = {i: verdict for i, verdict in verdicts.items() if verdict.why is not Why.OVERSIZED}
    return dead_rows(batch, some, incarnation)


def main(stop: threading.Event) -> None:
    judge = decode.judge

    def lenient(message: Any, batch: Batch, i: int, event_types: Any) -> Verdict | None:
        found = judge(message, batch, i, event_types)
        return None if found is not None and found.why is Why.KEY_MISMATCH else found

    decode.judge = lenient
    land.dead_rows = forgetful
    run(IngestSettings.load(), stop)


if __name__ == "__main__":
    run_process("broken-judge", main)
