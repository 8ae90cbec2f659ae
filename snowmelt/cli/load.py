"""``snowmelt load``: a data set through Kafka, into what runs."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from snowmelt.contracts.errors import ExitCode
from snowmelt.datasets.data_set import silent
from snowmelt.datasets.open import open_data_set
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.sending import send
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.asking import require_listener
from snowmelt.training.errors import BadDataError


def load(
    data: Annotated[
        Path | None, typer.Argument(help="a folder or a file; see docs/data.md. None: MovieLens-100k")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Sends catalogue, users and events; what the lake holds already is left out."""
    settings, reporter = Settings.load(), Reporter()
    if data is None or data.exists():
        require_listener(settings.kafka_bootstrap)
    try:
        with nullcontext() if as_json else reporter:
            progress = silent if as_json else reporter.progress
            held = open_data_set(data, progress)
            loaded = send(held, settings, progress, _until)
    except BadDataError as wrong:
        sys.stderr.write(f"snowmelt: {wrong}\n")
        raise typer.Exit(ExitCode.BAD_DATA) from None
    except TimeoutError as late:
        sys.stderr.write(f"snowmelt: {late}\n")
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    lines = (*held.notes, *loaded.lines())
    for line in [json.dumps({**asdict(loaded), "notes": held.notes})] if as_json else lines:
        reporter.say(line)


def _until(holds: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {timeout_s:.0f} s")
        time.sleep(0.1)
