"""``snowmelt bench features``: reads through Feast, ours beside Feast's own stores, values compared cell by cell."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.cli.bench_floors import Check, Floor, Verdict, end, lines
from snowmelt.embedded.redis_server import command

START_TIMEOUT_S = 20.0


def bench_features(
    repo: Annotated[Path, typer.Option(help="The feature repository")] = Path("feature_repo"),
    scale: Annotated[float, typer.Option(min=0.01, max=1.0, help="1: full size; less: a quicker look")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document")] = False,
    check: Check = False,
) -> None:
    """Measures ``get_online_features`` and ``get_historical_features`` against Feast's Redis and DuckDB stores.

    Exit 1 where values differ. The floors of historical reads are of the full size, and judged there.
    """
    from snowmelt.featurestore.feast_bench_offline import bench_offline
    from snowmelt.featurestore.feast_bench_online import bench_online

    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as place, _stdout_to_stderr():
        folder = Path(place)
        with _redis(folder / "redis") as url:
            figures = bench_online(
                repo,
                folder / "online",
                url,
                items=2000,
                events=int(100_000 * scale),
                blocks=max(2, int(8 * scale)),
                say=_say,
            )
        figures["historical"] = bench_offline(folder / "offline", int(200_000 * scale), int(500_000 * scale), _say)
    figures = {"scale": scale, **figures, "floors": floors(figures, scale)}
    print(json.dumps(figures) if as_json else "\n".join(_lines(figures)))
    measured = [figures["values"], *figures["online"], *figures["replica"], *figures["historical"]]
    end(figures["floors"], check=check, wrong=any(each["cells_different"] for each in measured))


def floors(figures: Mapping[str, Any], scale: float) -> list[Verdict]:
    """The verdicts of all cases; where a value is wrong the time that it took does not count."""
    wrong = _differ(figures["values"])
    online = [
        Floor(_named(each), each["floor"], "times").judge(each["ratio"], _differ(each) or wrong)
        for each in figures["online"]
    ]
    small = "" if scale == 1 else "it is of the full size, --scale 1"
    return online + [
        Floor(f"historical {each['case']}", each["floor"], "times").judge(each["ratio"], _differ(each) or small)
        for each in figures["historical"]
    ]


def _named(case: Mapping[str, Any]) -> str:
    return f"online {case['entities']} x {case['features']} {case['form']}"


def _differ(measured: Mapping[str, Any]) -> str:
    return f"{measured['cells_different']} of {measured['cells']} cells differ" if measured["cells_different"] else ""


def _lines(figures: Mapping[str, Any]) -> list[str]:
    rows = [(_named(each), each["ours_ms"], each["feast_redis_ms"], each) for each in figures["online"]]
    rows += [
        (f"historical {each['case']}", each["ours_s"] * 1e3, each["feast_duckdb_s"] * 1e3, each)
        for each in figures["historical"]
    ]
    replica = [
        f"replica {each['entities']} x {each['features']}: {each['ours_ms']:.3f} ms in process, finished anew "
        f"{each['anew_ms']:.3f} ms; {_differ(each) or 'values equal'}"
        for each in figures["replica"]
    ]
    measured = [
        f"{name:<38} ours {ours:10.3f} ms   Feast's store {theirs:10.3f} ms   {each['ratio']:6.1f} times   "
        f"{_differ(each) or 'values equal'}"
        for name, ours, theirs, each in rows
    ]
    values = figures["values"]
    said = f"values of {values['entities']} items beside plain counts: {_differ(values) or 'equal'}"
    return [said, *replica, *measured, *lines(figures["floors"])]


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What libraries print while they are measured; DuckDB's bar of progress would be part of the document."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A redis-server of the bench's own; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(command(folder, port), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def _say(what: str) -> None:
    sys.stderr.write(f"bench features: {what}\n")
