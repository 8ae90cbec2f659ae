"""The ``snowmelt`` command. A verb's file is imported when the verb is called, so that ``--help`` answers at once."""

import difflib
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import typer

from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.embedded.home import Home
from snowmelt.runtime.config import ConfigError

VERBS = {
    "up": ("up", "Start everything on this machine, with data, and keep it running"),
    "down": ("down", "Drain both lanes, then stop everything"),
    "status": ("status", "Ready or not and why; what was produced, landed, applied; ages"),
    "load": ("load", "Send a data set through Kafka"),
    "recommend": ("recommend", "A slate for a user or an anonymous session"),
    "event": ("event", "Record something that a user did"),
    "train": ("train", "Train, evaluate and publish a release; activate it if it is good"),
    "evaluate": ("evaluate", "Measure quality by a fixed protocol"),
    "releases": ("releases", "List, activate, roll back"),
    "rebuild": ("rebuild", "Make the online state anew from the lake"),
    "features": ("features", "List, show, compile the features"),
    "deadletters": ("deadletters", "List, show, replay invalid messages"),
    "topics": ("topics", "Make, check, mend the topics"),
    "offsets": ("offsets", "How far both lanes are; take them back to a time"),
    "trace": ("trace", "The waterfall of one trace"),
    "bench": ("bench", "Measure speed against named rivals"),
    "chaos": ("chaos", "Kill processes at named points and check the outcome"),
}
UNWOUND = ("evaluate", "bench", "chaos")
"""Verbs that have parts and folders of their own, which go when the verb is told to end."""


def _usage() -> str:
    lines = ["Usage: snowmelt VERB [OPTIONS]   (snowmelt VERB --help says which)", ""]
    return "\n".join(lines + [f"  {verb:<12} {said}" for verb, (_, said) in VERBS.items()])


def _run(verb: str, args: list[str]) -> None:
    if verb in UNWOUND:
        _unwind_when_told()
    module_name, said = VERBS[verb]
    module = importlib.import_module(f"snowmelt.cli.{module_name}")
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(help=said)(getattr(module, verb))
    app(args=args, prog_name=f"snowmelt {verb}")


def _unwind_when_told() -> None:
    """Makes SIGTERM and SIGHUP an exception, so that every ``with`` ends what it began; under nohup SIGHUP is none."""
    told = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]

    def end(number: int, _: object) -> None:
        for each in told:
            signal.signal(each, signal.SIG_IGN)  # a second one would cut the ending short
        sys.exit(128 + number)

    for number in told:
        signal.signal(number, end)


def _join_running_system() -> None:
    """Takes over the addresses of what runs in the state folder, where the environment does not say otherwise."""
    run = Home(Path(os.environ.get("SNOWMELT_STATE_DIR", ".snowmelt"))).run()
    if run is not None and run.alive:
        for key, value in run.environ.items():
            os.environ.setdefault(key, value)


def main() -> None:
    """Runs a verb; expected failures are one line on stderr and an exit code, never a stack trace."""
    verb, args = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if verb in ("", "-h", "--help"):
        sys.stdout.write(_usage() + "\n")
        sys.exit(ExitCode.OK if verb else ExitCode.USAGE)
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        _fail(f"{verb} is not a verb" + (f"; did you mean {near[0]}?" if near else f"\n{_usage()}"), ExitCode.USAGE)
    _join_running_system()
    try:
        _run(verb, args)
    except ConfigError as wrong:
        _fail(str(wrong), ExitCode.BAD_CONFIG)
    except SnowmeltError as wrong:
        _fail(wrong.detail, ExitCode.UNAVAILABLE if wrong.reason.value.http == 503 else ExitCode.FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.OK)


def _fail(said: str, code: int) -> NoReturn:
    sys.stderr.write(f"snowmelt: {said}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
