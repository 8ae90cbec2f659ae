"""``snowmelt chaos``: kill ingest at named points, on real parts, and check against the acknowledgements."""

import json
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from snowmelt.api.events.v1 import events_pb2
from snowmelt.cli.ingest_rig import Rig, until
from snowmelt.contracts.errors import ExitCode
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.features.rows import Rows
from snowmelt.featurestore import names
from snowmelt.featurestore.digest import digest_view
from snowmelt.lake import DEAD_LETTERS
from snowmelt.runtime.kafka.producer import Producer

app = typer.Typer(add_completion=False, help="Kill processes at named points and check the outcome")

POINTS = {"lake": ("before_commit", "after_commit"), "features": ("before_redis", "after_redis")}
NOW_MS = 1_714_521_600_000
MODULE = "services.ingest"


@dataclass
class Acknowledged:
    """What the producer was told: by (partition, offset) the event id of each valid record, and what is none."""

    first: dict[tuple[int, int], str] = field(default_factory=dict)
    duplicates: set[tuple[int, int]] = field(default_factory=set)
    invalid: set[tuple[int, int]] = field(default_factory=set)


@dataclass
class Report:
    """What the checker found; ``problems`` is empty where every event is there once, in order, in both sinks."""

    kills: dict[str, int]
    acknowledged: int
    landed: int = 0
    lost: int = 0
    twice: int = 0
    misplaced: int = 0
    dead_letters: int = 0
    applied: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Traffic:
    """Sends events of which some come twice and some are invalid, and keeps what Kafka acknowledged."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._producer = Producer(bootstrap, linger_ms=5)
        self._random = random.Random(seed)  # noqa: S311 - a drill that can be repeated
        self._lock = threading.Lock()
        self._sent = 0
        self.acknowledged = Acknowledged()

    def send(self, count: int) -> None:
        """Sends ``count`` records and waits for their acknowledgements."""
        with self._lock:
            pending = []
            for _ in range(count):
                kind = self._random.choices(("new", "again", "bad"), (95, 3, 2))[0]
                number = self._random.randrange(self._sent) if kind == "again" and self._sent else self._sent
                self._sent += kind == "new"
                key, value = _event(number)
                value = b"\xff" + value if kind == "bad" else value
                pending.append((kind, number, self._producer.submit(EVENTS, key, value, NOW_MS + self._sent)))
            for kind, number, future in pending:
                place = (future.result(30).partition, future.result().offset)
                self._note(kind, number, place)

    def _note(self, kind: str, number: int, place: tuple[int, int]) -> None:
        if kind == "bad":
            self.acknowledged.invalid.add(place)
        elif kind == "again":
            self.acknowledged.duplicates.add(place)
        else:
            self.acknowledged.first[place] = f"e{number}"

    def close(self) -> None:
        """Ends the producer."""
        self._producer.close()


def _event(number: int) -> tuple[bytes, bytes]:
    user = f"u{number % 211}"
    event = events_pb2.Event(
        event_id=f"e{number}",
        tenant="default",
        user_id=user,
        item_id=f"i{number * 7919 % 97}",
        type=("view", "click", "purchase")[number % 3],
        event_time_ms=NOW_MS - (number * 104_729) % 600_000,
        categories=[f"c{number % 5}"],
        price=number % 50 + 0.25,
    )
    return record_key("default", user), event.SerializeToString()


def drill(rig: Rig, kills: int, events: int, modules: dict[str, str] | None = None, seed: int = 7) -> Report:
    """Kills both lanes at their points while events come, lets them finish, and checks.

    Args:
        rig: with nothing in it yet.
        kills: in all, spread over the four points.
        events: how many records are sent in all.
        modules: other programs in the place of a lane's, to see that the checker sees what they do wrong.
        seed: of the traffic.
    """
    began = time.monotonic()
    traffic = Traffic(rig.bootstrap, seed)
    modules = modules or {}
    done: dict[str, int] = {}
    failures: list[BaseException] = []
    share = max(1, events // (kills + 1))

    def kill_lane(lane: str) -> None:
        try:
            for i in range(kills // 2):
                traffic.send(share)
                point = POINTS[lane][i % 2]
                process = rig.start(
                    lane,
                    modules.get(lane, MODULE),
                    crash_at=f"{point}:{1 + i % 3 // 2}",
                    flush_rows=50,
                    flush_seconds=0.1,
                )
                deadline = time.monotonic() + 60
                while (code := process.poll()) is None and time.monotonic() < deadline:
                    traffic.send(5)
                    time.sleep(0.2)
                if code != -signal.SIGKILL:
                    raise RuntimeError(f"{lane} ended with {code} and not at {point}: {rig.log(lane)}")
                done[point] = done.get(point, 0) + 1
        except BaseException as error:  # noqa: BLE001 - raised below, in the calling thread
            failures.append(error)

    threads = [threading.Thread(target=kill_lane, args=(lane,)) for lane in POINTS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    traffic.send(share)
    traffic.close()
    _finish(rig, modules)
    report = Report(done, len(traffic.acknowledged.first) + len(traffic.acknowledged.duplicates))
    check(rig, traffic.acknowledged, report)
    report.seconds = time.monotonic() - began
    return report


def _finish(rig: Rig, modules: dict[str, str]) -> None:
    processes = {lane: rig.start(lane, modules.get(lane, MODULE)) for lane in POINTS}
    for lane in processes:
        until(lambda lane=lane: rig.drained(lane), 60, f"{lane} did not catch up")  # type: ignore[misc]
    for lane, process in processes.items():
        process.terminate()
        code = process.wait(10)
        if code != ExitCode.OK:
            raise RuntimeError(f"{lane} ended with {code} when told to stop")


def check(rig: Rig, told: Acknowledged, report: Report) -> None:
    """Compares lake and online store with what was acknowledged."""
    rows = rig.lake.read("events", ["event_id", "partition", "offset"]).to_pylist()
    found = {(row["partition"], row["offset"]): row["event_id"] for row in rows}
    times = Counter(row["event_id"] for row in rows)
    report.landed = len(rows)
    report.lost = sum(name not in times for name in told.first.values())
    report.twice = sum(count - 1 for count in times.values())
    report.misplaced = sum(told.first.get(place) != name for place, name in found.items())
    dead = rig.lake.read(DEAD_LETTERS, ["partition", "offset"]).to_pylist()
    report.dead_letters = len(dead)
    for name in ("lost", "twice", "misplaced"):
        if getattr(report, name):
            report.problems.append(f"lake: {getattr(report, name)} {name}")
    if sorted((row["partition"], row["offset"]) for row in dead) != sorted(told.invalid):
        report.problems.append(f"dead letters: {len(dead)}, sent {len(told.invalid)}")
    _check_online(rig, told, report)


def _check_online(rig: Rig, told: Acknowledged, report: Report) -> None:
    sums = rig.store.fence_table.counters()[EVENTS]
    report.applied = sums.applied
    expected = (len(told.first), len(told.duplicates), len(told.invalid))
    if (sums.applied, sums.duplicates, sums.dead) != expected:
        report.problems.append(
            f"online: applied, duplicates, dead {sums.applied, sums.duplicates, sums.dead}, acknowledged {expected}"
        )
    rows = Rows.from_arrow_events(rig.lake.read("events"), rig.views)
    for view in rig.views.views.values():
        folded = view.fold(rows)
        anew = digest_view(view, sorted(zip(folded.entities, folded.states, strict=True)))
        if not anew.agrees(digest_view(view, _online(rig, view.name))):
            report.problems.append(f"online: {view.name} differs from the lake's recomputation")


def _online(rig: Rig, view: str) -> list[tuple[str, bytes]]:
    entities: list[str] = []
    for bucket in names.all_buckets():
        key = names.changes("default", bucket, rig.store.generation, view)
        entities += map(_text, rig.store.client.zrange(key, 0, -1))
    entities.sort()
    return [(name, state or b"") for name, state in zip(entities, rig.store.read(view, entities), strict=True)]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@app.callback()
def _verbs() -> None:
    """Makes ``ingest`` a verb of its own."""


@app.command()
def ingest(
    kills: Annotated[int, typer.Option(min=4, help="how often a lane is killed, in all")] = 20,
    events: Annotated[int, typer.Option(min=100, help="how many events are sent")] = 20_000,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Kill both lanes at four named points on a real Kafka, Redis and lake; exit 1 where an event is lost or twice."""
    with tempfile.TemporaryDirectory(prefix="snowmelt-chaos-") as folder, Rig(Path(folder)) as rig:
        report = drill(rig, kills, events)
    if as_json:
        print(json.dumps(asdict(report)))
    else:
        print(f"{sum(report.kills.values())} kills in {report.seconds:.0f} s: {report.kills}")
        print(
            f"{report.acknowledged} acknowledged: {report.lost} lost, {report.twice} twice, "
            f"{report.misplaced} misplaced"
        )
        print("\n".join(report.problems) or "online state equals the lake's recomputation")
    if report.problems:
        raise typer.Exit(ExitCode.FAILED)
