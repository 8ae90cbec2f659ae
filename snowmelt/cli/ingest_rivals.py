"""What ``bench ingest`` measures beside our lanes: Feast's own push, and Quix Streams, on the same events and Redis."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

import snowmelt
from snowmelt.chaos.rig import Rig
from snowmelt.cli import ingest_quix
from snowmelt.cli.ingest_traffic import Traffic, one_core, redis_cpu_s
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS

BATCH_ROWS = 10_000
"""Of one push."""
MOST_EVENTS = 200_000
"""That a rival takes: its rate is no other with more."""
RIVAL_S = 600
NO_QUIX = "not measured: give --quix-path"
CHECKED, UNCHECKED, QUIX = "feast_push", "feast_push_skip_dedup", "quix_streams"
WHAT = {
    CHECKED: "Feast's push to its stock Redis store: a row an event, 15 values that are there already, no stream read",
    UNCHECKED: "the same with skip_dedup, which spares it a look at the time of what is stored",
    QUIX: "Quix Streams: events counted by user in one window of an hour, each new count to Redis",
}


def rivals(rig: Rig, traffic: Traffic, events: int, features: dict[str, float], quix: Path | None) -> dict[str, Any]:
    """Figures by rival, held to one core as a lane is, and how many times of them the feature lane's are.

    Args:
        rig: with the events in Kafka.
        traffic, events: what they are.
        features: the lane's own figures of the same run.
        quix: the folder that has Quix Streams; without it that is not measured.

    Raises:
        SnowmeltError: UNAVAILABLE where a rival ends with an error.
    """
    folder = rig.folder / "rivals"
    folder.mkdir()
    events = min(events, MOST_EVENTS)
    _write_events(traffic, events, folder / "events.parquet")
    server = urlsplit(rig.redis_url)
    programs: dict[str, tuple[list[str], Path | None]] = {}
    for name, database in ((CHECKED, 1), (UNCHECKED, 2)):
        place = f"{server.hostname}:{server.port},db={database}"
        programs[name] = ["-m", "snowmelt.featurestore.feast_push", str(folder), place, str(BATCH_ROWS), name], None
    if quix is not None:
        arguments = [rig.bootstrap, EVENTS, str(events), str(server.port), str(folder)]
        programs[QUIX] = [ingest_quix.__file__, *arguments], quix
    found: dict[str, Any] = {QUIX: NO_QUIX}
    for name, (command, path) in programs.items():
        figures = _run(rig, name, command, path)
        found[name] = {"what": WHAT[name], **figures, "ours_times": _times(features, figures)}
    return found


def _run(rig: Rig, name: str, command: list[str], path: Path | None) -> dict[str, float]:
    root = str(Path(snowmelt.__file__).parents[1])
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(path.resolve()), root] if path else [root])
    redis_s = redis_cpu_s(rig)
    with one_core(), (rig.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-P", *command], env=environ, stdout=subprocess.PIPE, stderr=log)
    try:
        answer, _ = process.communicate(timeout=RIVAL_S)
    finally:
        process.kill()
    if process.returncode:
        said = (rig.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
        raise SnowmeltError(Reason.UNAVAILABLE, f"{name} ended with an error: {' '.join(said)}")
    told = json.loads(answer)
    return {
        "events": told["events"],
        "events_per_s": told["events"] / told["seconds"],
        "events_per_cpu_s": told["events"] / told["cpu_s"],
        "redis_cpu_us_per_event": (redis_cpu_s(rig) - redis_s) / told["events"] * 1e6,
    }


def _times(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    lane, rival = (1e6 / figures["events_per_cpu_s"] for figures in (ours, theirs))
    lane_redis, rival_redis = (figures["redis_cpu_us_per_event"] for figures in (ours, theirs))
    return {
        "events_per_s": ours["events_per_s"] / theirs["events_per_s"],
        "events_per_cpu_s": rival / lane,
        "events_per_cpu_s_with_redis": (rival + rival_redis) / (lane + lane_redis),
    }


def _write_events(traffic: Traffic, events: int, path: Path) -> None:
    users, items = zip(*map(traffic.entities, range(events)), strict=True)
    times_ms = pa.array([traffic.time_ms(number) for number in range(events)], pa.int64())
    instants = times_ms.cast(pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"user_id": users, "item_id": items, "event_time": instants}), path)
