"""``snowmelt down``: asks the running system to drain and stop, and waits for it."""

import os
import signal
import time

import typer

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.embedded.home import Home, end_leftovers
from snowmelt.runtime.config import Settings

_PATIENCE_S = 20.0


def down() -> None:
    """Stops what ``snowmelt up`` runs in this state folder; nothing running is no error."""
    home = Home(Settings.load().state_dir)
    run = home.run()
    if run is None:
        typer.echo("nothing runs here")
        return
    if not run.alive:
        ended = end_leftovers(run)
        home.forget()
        typer.echo("the supervisor had gone; " + (f"ended {', '.join(ended)}" if ended else "nothing was left running"))
        return
    os.kill(run.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while run.alive:
        if time.monotonic() > deadline:
            raise SnowmeltError(
                Reason.UNAVAILABLE, f"process {run.pid} still drains after {_PATIENCE_S:.0f} s; see {home.logs}"
            )
        time.sleep(0.1)
    typer.echo("drained and stopped")
