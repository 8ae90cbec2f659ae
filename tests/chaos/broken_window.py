"""A lane, of either kind, that forgets at a restart which ids it has kept: what the checker must see."""

import threading
from typing import Any

from services.ingest import lane
from services.ingest.config import IngestSettings
from services.ingest.server import run
from services.ingest.window import Window
from snowmelt.runtime.lifecycle import run as run_process


def forgetful(*_: Any, window: Window, **__: Any) -> Window:
    return window


def main(stop: threading.Event) -> None:
    lane.read_back = forgetful
    run(IngestSettings.load(), stop)


if __name__ == "__main__":
    run_process("broken-window", main)
