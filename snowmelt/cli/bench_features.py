"""``snowmelt bench features``: reads through Feast, ours beside Feast's own stores, values compared cell by cell."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.embedded.redis_server import command

START_TIMEOUT_S = 20.0


def bench_features(
    repo: Annotated[Path, typer.Option(help="The feature repository")] = Path("feature_repo"),
    scale: Annotated[float, typer.Option(min=0.01, max=1.0, help="1: full size; less: a quicker look")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document")] = False,
) -> None:
    """Measures ``get_online_features`` and ``get_historical_features`` against Feast's Redis and DuckDB stores."""
    from snowmelt.featurestore.feast_bench_offline import bench_offline
    from snowmelt.featurestore.feast_bench_online import bench_online

    with tempfile.TemporaryDirectory(prefix="snowmelt-bench-") as place:
        folder = Path(place)
        with _redis(folder / "redis") as url:
            online = bench_online(
                repo,
                folder / "online",
                url,
                items=2000,
                events=int(100_000 * scale),
                blocks=max(2, int(8 * scale)),
                say=_say,
            )
        offline = bench_offline(folder / "offline", int(200_000 * scale), int(500_000 * scale), _say)
    reached = all(each["reached"] for each in [*online, *offline])
    if as_json:
        sys.stdout.write(
            json.dumps({"scale": scale, "online": online, "historical": offline, "reached": reached}) + "\n"
        )
    else:
        sys.stdout.write("\n".join(_lines(online, offline)) + "\n")


def _lines(online: list[dict[str, Any]], offline: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"online {each['entities']:>4} x {each['features']} {each['form']:<8} ours {each['ours_ms']:8.3f} ms   "
        f"Feast's Redis store {each['feast_redis_ms']:8.3f} ms   {each['ratio']:6.1f} times (floor {each['floor']})   "
        f"{each['cells_different']} of {each['cells']} cells differ"
        for each in online
    ]
    lines += [
        f"historical {each['case']:<26} ours {each['ours_s']:7.3f} s   Feast's DuckDB store {each['feast_duckdb_s']:7.3f} s   "
        f"{each['ratio']:6.1f} times (floor {each['floor']})   {each['cells_different']} of {each['cells']} cells differ"
        for each in offline
    ]
    return lines


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
