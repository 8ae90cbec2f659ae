"""``snowmelt train``: one training in the foreground, in the trainer's own process."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from snowmelt.contracts.errors import ExitCode


def train(*, as_json: Annotated[bool, typer.Option("--json", help="the outcome as one JSON document")] = False) -> None:
    """Trains on what the lake holds, publishes a release, and activates it if it is good enough."""
    from snowmelt.embedded.console import Reporter

    environ = {**os.environ, "SNOWMELT_TRAINER_ONCE": "true"}
    command = [sys.executable, "-P", "-m", "services.trainer"]
    child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    told = _passing_on(child)
    reporter = Reporter()
    outcome: dict[str, Any] = {}
    with nullcontext() if as_json else reporter:
        for line in child.stdout or ():
            said = json.loads(line)
            if "stage" not in said:
                outcome = said
            elif not as_json:
                reporter.progress(said["stage"], said["done"], said["total"])
    code = child.wait()
    if told.is_set() and not outcome:
        sys.stderr.write(
            "snowmelt: the training was stopped; a release is there whole or not at all, see `snowmelt releases list`\n"
        )
        raise typer.Exit(ExitCode.INTERRUPTED)
    if code < 0:
        outcome["error"] = f"the trainer was ended by signal {-code}"
    if "error" in outcome:
        sys.stderr.write(f"snowmelt: {outcome['error']}\n")
    if code or "trained" not in outcome:
        raise typer.Exit(max(code, 0) or ExitCode.FAILED)
    if as_json:
        sys.stdout.write(json.dumps(outcome["trained"], indent=1) + "\n")
    else:
        for text in said_of(outcome["trained"]):
            reporter.say(text)


def _passing_on(child: "subprocess.Popen[str]") -> threading.Event:
    """Ends the trainer where this process is told to end; set from then on."""
    told = threading.Event()

    def end(*_: object) -> None:
        told.set()
        child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return told


def said_of(trained: dict[str, Any]) -> Iterable[str]:
    """What a person should know of a training."""
    from snowmelt.embedded.learned import figures

    metrics = trained["metrics"]
    yield f"release {trained['release_id']}: " + ("activated" if trained["activated"] else "published, not activated")
    for said in (*trained["reasons"], *trained["notes"]):
        yield f"  {said}"
    yield f"  on {metrics['queries']:.0f} queries of {metrics['users']:.0f} users, newer than what it had learned from:"
    yield from (f"  NDCG@10 {line}" for line in figures(metrics))
