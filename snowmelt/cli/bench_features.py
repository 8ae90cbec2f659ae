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
    rows = [
        (f"online {e['entities']} x {e['features']} {e['form']}", e["ours_ms"] / 1e3, e["feast_redis_ms"] / 1e3, e)
        for e in online
        if e["form"] != "replica"
    ]
    rows += [(f"historical {e['case']}", e["ours_s"], e["feast_duckdb_s"], e) for e in offline]
    replica = [
        f"replica {e['entities']} x {e['features']}: {e['ours_ms']:.3f} ms in process, "
        f"{e['cells_different']} of {e['cells']} cells differ"
        for e in online
        if e["form"] == "replica"
    ]
    return replica + [
        f"{name:<38} ours {ours * 1e3:10.3f} ms   Feast's store {theirs * 1e3:10.3f} ms   {e['ratio']:6.1f} times "
        f"(floor {e['floor']})   {e['cells_different']} of {e['cells']} cells differ"
        for name, ours, theirs, e in rows
    ]


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
