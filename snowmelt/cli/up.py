"""``snowmelt up``: everything on this machine, with data, until it is told to stop."""

import signal
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from snowmelt.client import Client, token_of
from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.ending import end_leftovers
from snowmelt.embedded.home import Home, PortTaken
from snowmelt.embedded.processes import StartError
from snowmelt.embedded.up import Interrupted, Up
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import Settings
from snowmelt.training.errors import BadDataError

ANSWERS = 200
FEATURE_REPO = Path(__file__).parents[2] / "feature_repo"


def up(
    data: Annotated[
        Path | None, typer.Option(help="a folder or a file; see docs/data.md. None: MovieLens-100k")
    ] = None,
    *,
    broker: Annotated[
        Literal["embedded", "kafka"], typer.Option(help="kafka: a real node, durable; needs Java")
    ] = "embedded",
    free_ports: Annotated[bool, typer.Option("--free-ports", help="any free ports, not the fixed ones")] = False,
) -> None:
    """Starts everything, loads, trains, and prints how to go on; Ctrl-C drains and stops."""
    home = Home(Settings.load().state_dir)
    run = home.run()
    if run is not None and run.alive:
        _end(f"it runs already, as process {run.pid}; `make down` stops it", ExitCode.UNAVAILABLE)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    reporter = Reporter()
    if run is not None and not run.left and (lost := end_leftovers(run, reporter.say)):
        reporter.say(lost)
    try:
        running = Up(home, FEATURE_REPO, reporter, stop, broker=broker, free_ports=free_ports)
    except PortTaken as taken:
        _end(f"{taken}; stop that one, or say --free-ports", ExitCode.UNAVAILABLE)
    code = ExitCode.OK
    try:
        running.start(data)
        running.train()
        user = _answering(running)
        _tell(running, reporter, user)
        stop.wait()
    except Interrupted:
        pass
    except BadDataError as wrong:
        code = _say(str(wrong), ExitCode.BAD_DATA)
    except (StartError, TimeoutError) as wrong:
        code = _say(str(wrong), ExitCode.FAILED)
    except SnowmeltError as wrong:
        code = _say(wrong.detail, ExitCode.FAILED)
    reporter.say("stopping: both lanes take what was produced, then everything ends")
    if not running.stop():
        code = code or ExitCode.FAILED
    raise typer.Exit(code)


def _client(running: Up) -> Client:
    environ = running.stack.environ
    token = token_of(environ["SNOWMELT_TOKENS_PATH"], Role.PUBLIC)
    return Client(environ["SNOWMELT_GATEWAY_GRPC_ADDRESS"], token=token)


def _answering(running: Up) -> str:
    """A user of the lake, once the gateway answers in full for one."""
    user = running.some_users(1)[0]
    with _client(running) as client:
        running.until(lambda: not client.recommend(user).degraded, 60.0, "the gateway does not answer in full")
    return user


def _tell(running: Up, reporter: Reporter, user: str) -> None:
    with _client(running) as client:
        first = client.recommend(user)
        times_ms = []
        for each in running.some_users(ANSWERS):
            begun = time.perf_counter()
            client.recommend(each)
            times_ms.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(times_ms, n=100)
    environ, home = running.stack.environ, running.home.folder
    clicked = first.items[0].item_id if first.items else "ITEM"
    command = f"{Path(sys.argv[0])}"
    for line in (
        "",
        "ready",
        f"  REST         http://{environ['SNOWMELT_GATEWAY_REST_ADDRESS']}/v1/recommend",
        f"  gRPC         {environ['SNOWMELT_GATEWAY_GRPC_ADDRESS']}",
        f"  tokens       {home / 'tokens.json'}",
        f"  {len(times_ms)} answers  p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, just measured one by one",
        *running.quality(),
        "",
        "try",
        f"  {command} recommend {user}",
        f"  {command} event {clicked} --user {user} --type click",
        f"  {command} recommend {user}",
        f"  {command} trace {first.trace_id}",
        f"  {command} status",
        "",
        "Ctrl-C, or `make down` from another terminal, drains and stops",
    ):
        reporter.say(line)


def _say(said: str, code: int) -> int:
    sys.stderr.write(f"snowmelt: {said}\n")
    return code


def _end(said: str, code: int) -> None:
    raise typer.Exit(_say(said, code))
