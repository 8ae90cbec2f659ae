"""``snowmelt rebuild online``: the online state made anew from the lake."""

import json
import time
from contextlib import nullcontext
from typing import Annotated

import typer

from snowmelt.contracts.errors import ExitCode
from snowmelt.embedded.console import Reporter
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.rebuild import rebuild_online
from snowmelt.runtime.config import Settings


def rebuild(
    what: Annotated[str, typer.Argument(help="online: the states in Redis")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Folds the lake into a new generation beside the live one, then switches; serving goes on."""
    if what != "online":
        typer.echo(f"snowmelt: {what} cannot be rebuilt; did you mean online?", err=True)
        raise typer.Exit(ExitCode.USAGE)
    settings, reporter = Settings.load(), Reporter()
    begun, cpu_s = time.perf_counter(), time.process_time()
    with nullcontext() if as_json else reporter:
        generation = rebuild_online(
            settings.lake_url,
            settings.redis_url,
            CompiledViews.load(settings.views_path),
            (lambda *_: None) if as_json else reporter.progress,
        )
    said = {
        "generation": generation,
        "duration_s": round(time.perf_counter() - begun, 3),
        "cpu_s": round(time.process_time() - cpu_s, 3),
    }
    reporter.say(json.dumps(said) if as_json else f"generation {generation} is live, after {said['duration_s']} s")
