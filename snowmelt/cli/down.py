"""``snowmelt down``: asks the running system to drain and stop, and waits for it."""

import os
import signal
import sys
import time

import typer

from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.embedded.home import Home, Run
from snowmelt.runtime.config import Settings

_PATIENCE_S = 20.0


def down() -> None:
    """Stops what ``snowmelt up`` runs in this state folder; nothing running is no error, what was not drained is."""
    home = Home(Settings.load().state_dir)
    run = home.run()
    if run is None or run.left:
        typer.echo("nothing runs here")
        return
    said, left = "drained and stopped", ""
    if run.alive:
        _ask(run, home)
        run = home.run()
        left = run.left if run is not None else ""
    if run is not None and not left:  # whoever ran it was killed
        said, left = "stopped", _end_leftovers(run, home)
    if left:
        sys.stderr.write(f"snowmelt: stopped, but {left}\n")
        raise typer.Exit(ExitCode.FAILED)
    typer.echo(said)


def _ask(run: Run, home: Home) -> None:
    os.kill(run.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while run.alive:
        if time.monotonic() > deadline:
            raise SnowmeltError(
                Reason.UNAVAILABLE, f"process {run.pid} still drains after {_PATIENCE_S:.0f} s; see {home.logs}"
            )
        time.sleep(0.1)


def _end_leftovers(run: Run, home: Home) -> str:
    from snowmelt.embedded.ending import end_leftovers

    if not home.hold():
        raise SnowmeltError(Reason.UNAVAILABLE, "`make up` has just begun here; try again when it has said more")
    left = end_leftovers(run, typer.echo)
    home.forget(pid=run.pid)
    return left
