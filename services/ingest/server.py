"""Wiring of the ingest process."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from services.ingest.adapters.accepted import AcceptedBad
from services.ingest.adapters.history import LakeThenKafka
from services.ingest.aggregate import CALL_ROWS, StateSink
from services.ingest.buffer import Buffer, Linger
from services.ingest.config import IngestSettings
from services.ingest.copies import Copies
from services.ingest.crash import CrashPoints
from services.ingest.ending import END_S, apart, await_all, leave, unless_told
from services.ingest.guard import Guard
from services.ingest.intake import Intake
from services.ingest.lag import watch
from services.ingest.land import LakeSink
from services.ingest.lane import Lane
from services.ingest.lateness import Lateness
from services.ingest.memory import buffer_bytes, one_heap
from services.ingest.ports import Sink
from services.ingest.topics import check_topics
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import IMPRESSIONS, LANE_TOPICS
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from snowmelt.runtime import garbage
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Consumer, Place
from snowmelt.runtime.kafka.identity import Identity
from snowmelt.runtime.kafka.lag import first_times_ms
from snowmelt.runtime.kafka.producer import Producer
from snowmelt.runtime.ops import OpsServer
from snowmelt.runtime.telemetry import setup
from snowmelt.runtime.validation import require_upb

_LOG = logging.getLogger(__name__)

FEATURE_ROWS = 60_000
"""Of one write."""

ASK_S = 2.0
"""How long a running lane waits for an answer of the brokers, before it asks others: a node may be gone."""

T = TypeVar("T")
MakeSink = Callable[[IngestSettings, dict[str, str], CrashPoints], Sink]


def main(stop: threading.Event) -> None:
    """Runs a lane until it is told to stop.

    Raises:
        ConfigError: the environment cannot be used.
    """
    run(IngestSettings.load(), stop)


def run(settings: IngestSettings, stop: threading.Event, make_sink: MakeSink | None = None) -> None:
    """``main`` with given settings; ``make_sink`` puts another sink in the lane's place."""
    require_upb()
    setup(f"ingest-{settings.lane}", settings)
    missing = ["starting"]
    reasons: list[Callable[[], list[str]]] = [lambda: missing]
    ops = OpsServer(settings.ops, lambda: [why for reason in reasons for why in reason()], settings)
    ops.start()
    garbage.seldom()
    one_heap()
    try:
        _run_lane(settings, stop, missing, reasons, make_sink or _sink)
    finally:
        ops.stop()


def _run_lane(
    settings: IngestSettings,
    stop: threading.Event,
    missing: list[str],
    reasons: list[Callable[[], list[str]]],
    make_sink: MakeSink,
) -> None:
    topics, admin = LANE_TOPICS[settings.lane], Admin(settings.kafka_bootstrap)
    crash = CrashPoints(settings.crash_at, settings.stall_file)

    def prepare() -> tuple[dict[str, str], Sink]:
        check_topics(settings, admin, topics)
        incarnations = admin.incarnations(topics, settings.kafka_incarnation)
        return incarnations, make_sink(settings, incarnations, crash)

    prepared = _patiently(prepare, missing, stop)
    if prepared is None:
        return
    incarnations, sink = prepared
    history = LakeThenKafka(Lake(settings.lake_url), settings.kafka_bootstrap, incarnations)
    lane = Lane(settings.lane, sink, history, incarnations)
    lane.crash = crash
    name, session_s = f"snowmelt-{settings.lane}", settings.session_seconds
    if not settings.kafka_incarnation:
        lane.identity = Identity(Admin(settings.kafka_bootstrap, ASK_S), incarnations)
    consumer = Consumer(settings.kafka_bootstrap, name, member=settings.member, session_s=session_s)
    intake = _intake(settings, consumer, lane)
    if settings.in_group:
        consumer.subscribe(topics, intake.given, intake.taken)
    else:
        counts = _patiently(lambda: admin.partitions(topics), missing, stop)
        if counts is None:
            return
        intake.given([(topic, partition) for topic, count in counts.items() for partition in range(count)])
    reasons.append(intake.reasons)
    missing.clear()
    watcher = Admin(settings.kafka_bootstrap, ASK_S)
    helpers = _helpers(settings, lane, intake, watcher, incarnations=incarnations, stop=stop)
    for helper in helpers:
        helper.start()
    try:
        intake.run(stop)
    finally:
        stop.set()
        _end(intake, consumer, helpers)


def _end(intake: Intake, consumer: Consumer, helpers: Sequence[threading.Thread]) -> None:
    written, deadline = time.monotonic(), intake.told + END_S
    closing, left_well = apart(consumer.close, "closing")
    closed = await_all([closing], deadline)
    left = time.monotonic()
    ended = await_all(helpers, deadline) and closed
    _LOG.info(
        "ends: what was read is written after %.1f s, Kafka was left in %.1f s, helpers have ended in %.1f s",
        written - intake.told,
        left - written,
        time.monotonic() - left,
    )
    if not intake.ended:  # a write that hangs is in the sink whole, or not at all
        leave("the sink still writes, or hangs, or who was asked for it does; what was read comes again")
    if not ended:
        leave("the broker, or the lake, still hangs")
    left_well.result()


def _helpers(
    settings: IngestSettings,
    lane: Lane,
    intake: Intake,
    admin: Admin,
    *,
    incarnations: Mapping[str, str],
    stop: threading.Event,
) -> list[threading.Thread]:
    watching = {
        "clock": Clock(settings.clock_offset_ms),
        "positions": lane.positions,
        "oldest_ms": intake.oldest_ms,
        "stopped": intake.stopped,
        "first_times_ms": partial(first_times_ms, settings.kafka_bootstrap),
        "stop": stop,
    }
    topics = LANE_TOPICS[settings.lane]
    helpers = [threading.Thread(target=watch, args=(settings.lane, topics, admin), kwargs=watching, daemon=True)]
    if settings.lane == "lake":
        helpers.append(threading.Thread(target=_compact, args=(settings, lane.crash, stop), daemon=True))
        helpers.append(threading.Thread(target=_copy, args=(settings, incarnations, lane.positions, stop), daemon=True))
    return helpers


def _intake(settings: IngestSettings, consumer: Consumer, lane: Lane) -> Intake:
    lake = settings.lane == "lake"
    linger = Linger(settings.flush_seconds if lake else 0.0, {} if lake else {IMPRESSIONS: settings.count_seconds})
    return Intake(
        consumer,
        Admin(settings.kafka_bootstrap, ASK_S).marks,
        lane,
        Buffer(buffer_bytes(settings.memory_mbytes, 0), settings.flush_rows if lake else CALL_ROWS, linger),
        memory_mbytes=settings.memory_mbytes,
        accepted_gaps=settings.accepted_gaps(),
        accepted_topics=settings.accepted_topics(),
        poll_s=0.05 if lake else settings.wait_ms / 1000,
        flush_rows=settings.flush_rows if lake else min(settings.flush_rows, FEATURE_ROWS),
    )


def _patiently(work: Callable[[], T], missing: list[str], stop: threading.Event) -> T | None:
    while not stop.is_set():
        try:
            return unless_told(work, stop)
        except SnowmeltError as error:
            if error.reason not in (Reason.UNAVAILABLE, Reason.FEATURES_MISMATCH):
                raise
            missing[:] = [error.detail]
            stop.wait(0.5)
    return None


def _sink(settings: IngestSettings, incarnations: dict[str, str], crash: CrashPoints) -> Sink:
    if settings.lane == "lake":
        lake = Lake(settings.lake_url)
        lake.create()
        return LakeSink(
            lake,
            incarnations,
            DeclaredTypes(Path(settings.views_path)),
            crash,
            lateness=Lateness(settings.allowed_lateness_seconds * 1000),
            guard=Guard(
                settings.poison_share,
                settings.poison_window,
                settings.poison_least,
                AcceptedBad(Lake(settings.lake_url), incarnations),
            ),
        )

    def open_store() -> StateStore:
        store = StateStore(settings.redis_url, CompiledViews.load(settings.views_path))
        store.check()
        return store

    return StateSink(open_store, incarnations, crash)


class DeclaredTypes:
    """The event types of the compiled views, read again where the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = -1
        self._types: tuple[str, ...] = ()
        self()

    def __call__(self) -> tuple[str, ...]:
        """The types now.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where there are no compiled views.
        """
        seen = self._path.stat().st_mtime_ns if self._path.exists() else 0
        if seen != self._seen:
            self._types = CompiledViews.load(self._path).event_types
            self._seen = seen
        return self._types


def _copy(
    settings: IngestSettings,
    incarnations: Mapping[str, str],
    positions: Callable[[], Mapping[Place, int]],
    stop: threading.Event,
) -> None:
    producer = Producer(settings.kafka_bootstrap, "snowmelt-dead-letters", delivery_timeout_ms=10_000)
    try:
        Copies(Lake(settings.lake_url), producer, incarnations, positions).follow(stop)
    finally:
        with suppress(SnowmeltError):  # what was not marked is copied at the next start
            producer.close(1.0)


def _compact(settings: IngestSettings, crash: CrashPoints, stop: threading.Event) -> None:
    lake = Lake(settings.lake_url)
    while not stop.wait(settings.compact_seconds):
        try:
            for table in lake.versions():
                if lake.scattered(table, settings.compact_files):
                    with crash.around("compaction"):
                        lake.compact(table, settings.compact_files)
        except SnowmeltError as error:
            _LOG.warning("small files of the lake are not joined: %s", error.detail)
