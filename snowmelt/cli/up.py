"""``snowmelt up``: everything on this machine, with data, until it is told to stop."""

import shlex
import signal
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from snowmelt.client import Client, token_of
from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.ending import end_leftovers
from snowmelt.embedded.home import Home, PortTaken
from snowmelt.embedded.learned import quality
from snowmelt.embedded.processes import StartError
from snowmelt.embedded.up import Interrupted, Up
from snowmelt.embedded.visitors import Visitor, visitors
from snowmelt.lake import Lake
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import Settings
from snowmelt.training.errors import BadDataError

ANSWERS = 200
FEATURE_REPO = Path(__file__).parents[2] / "feature_repo"


def up(
    data: Annotated[
        Path | None,
        typer.Option(help="a folder or a file; see docs/data.md. None: what is loaded here, else MovieLens-100k"),
    ] = None,
    *,
    broker: Annotated[
        Literal["embedded", "kafka"], typer.Option(help="kafka: a real node, durable; needs Java")
    ] = "embedded",
    free_ports: Annotated[bool, typer.Option("--free-ports", help="any free ports, not the fixed ones")] = False,
) -> None:
    """Starts everything, loads, trains, and prints how to go on; Ctrl-C drains and stops."""
    home = Home(Settings.load().state_dir)
    held, run = home.hold(), home.run()
    if not held or (run is not None and run.alive):
        who = f", as process {run.pid}" if run is not None and run.alive else ""
        _end(f"it runs already{who}; `make down` stops it", ExitCode.UNAVAILABLE)
    stop = threading.Event()
    _listen(stop)
    reporter = Reporter()
    if run is not None and not run.left and (lost := end_leftovers(run, reporter.say)):
        reporter.say(lost)
    try:
        running = Up(home, FEATURE_REPO, reporter, stop, broker=broker, free_ports=free_ports)
    except PortTaken as taken:
        _end(f"{taken}; stop that one, or say --free-ports", ExitCode.UNAVAILABLE)
    code = ExitCode.OK
    try:
        home.record({}, {})  # who asks to stop finds it before anything runs
        running.start(data)
        missing = running.train()
        _tell(running, reporter, _answering(running, whole=not missing), missing or quality(running.settings))
        stop.wait()
    except Interrupted:
        pass
    except BadDataError as wrong:
        code = _say(str(wrong), ExitCode.BAD_DATA)
    except (StartError, TimeoutError) as wrong:
        code = _say(str(wrong), ExitCode.FAILED)
    except SnowmeltError as wrong:
        code = _say(wrong.detail, ExitCode.FAILED)
    finally:
        whole = running.stop()
    if not whole:
        code = code or ExitCode.FAILED
    raise typer.Exit(code)


def _listen(stop: threading.Event) -> None:
    """What asks to stop; a terminal that closes does, but for a start under nohup."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())


def _client(running: Up) -> Client:
    environ = running.stack.environ
    token = token_of(environ["SNOWMELT_TOKENS_PATH"], Role.PUBLIC)
    return Client(environ["SNOWMELT_GATEWAY_GRPC_ADDRESS"], token=token)


def _answering(running: Up, *, whole: bool) -> Visitor:
    """Somebody of the lake, once the gateway answers: in full, or as far as it can without a release that ranks."""
    who = visitors(Lake(running.settings.lake_url), 1)[0]
    missing = set() if whole else {"release", "ranker"}
    with _client(running) as client:
        running.until(
            lambda: missing.issuperset(client.recommend(who.user_id, session_id=who.session_id).degraded),
            60.0,
            "the gateway does not answer in full" if whole else "the gateway does not answer",
        )
    return who


def _tell(running: Up, reporter: Reporter, who: Visitor, quality: Sequence[str]) -> None:
    with _client(running) as client:
        first = client.recommend(who.user_id, session_id=who.session_id)
        times_ms = []
        for each in visitors(Lake(running.settings.lake_url), ANSWERS):
            begun = time.perf_counter()
            client.recommend(each.user_id, session_id=each.session_id)
            times_ms.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(times_ms, n=100)
    environ, home = running.stack.environ, running.home.folder
    clicked = first.items[0].item_id if first.items else "ITEM"
    where = _where(home)
    command = f"{where}{Path(sys.argv[0])}"
    recommend = shlex.join(["recommend", who.user_id] if who.user_id else ["recommend", "--session", who.session_id])
    whose = shlex.join(["--user", who.user_id] if who.user_id else ["--session", who.session_id])
    for line in (
        "",
        "ready",
        f"  REST         http://{environ['SNOWMELT_GATEWAY_REST_ADDRESS']}/v1/recommend",
        f"  gRPC         {environ['SNOWMELT_GATEWAY_GRPC_ADDRESS']}",
        f"  tokens       {home / 'tokens.json'}",
        f"  {len(times_ms)} answers  p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, just measured one by one",
        *quality,
        "",
        "try",
        f"  {command} {recommend}",
        f"  {command} event {shlex.quote(clicked)} {whose} --type click",
        f"  {command} {recommend}",
        f"  {command} trace {first.trace_id}",
        f"  {command} status",
        "",
        f"Ctrl-C, or `{where}make down` from another terminal, drains and stops",
    ):
        reporter.say(line)


def _where(home: Path) -> str:
    """What stands before a command that is given in another terminal; nothing for the state folder of the default."""
    default: Path = Settings.model_fields["state_dir"].default
    return "" if home == default.resolve() else f"SNOWMELT_STATE_DIR={shlex.quote(str(home))} "


def _say(said: str, code: int) -> int:
    sys.stderr.write(f"snowmelt: {said}\n")
    return code


def _end(said: str, code: int) -> None:
    raise typer.Exit(_say(said, code))
