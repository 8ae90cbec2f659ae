"""Kills both lanes at every named point and at random times while records come, and checks what came of them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from snowmelt.chaos.bad_records import SHARES
from snowmelt.chaos.check import Report, check
from snowmelt.chaos.plan import Hit, plan
from snowmelt.chaos.reader import Reader
from snowmelt.chaos.rig import MODULE, Rig, Say
from snowmelt.chaos.traffic import Traffic
from snowmelt.chaos.victims import Victims
from snowmelt.contracts.topics import LAKE_TOPICS, LANE_TOPICS

TICK_S = 0.1
TRICKLE, BLOCK = 5, 5_000
"""Records a tick: where the kills are behind, and at most."""
SAY_S = 5.0


@dataclass
class KillReport(Report):
    """What the drill found.

    Attributes:
        kills: by lane and point.
        ways: how the processes came to their points, by lane, point and way, where that was not the one planned.
        records: that Kafka acknowledged, with duplicates and invalid ones.
        versions, joined: of the lake's tables that a reader looked at meanwhile, and those of them that joined files.
    """

    ways: dict[str, int] = field(default_factory=dict)
    records: int = 0
    versions: int = 0
    joined: int = 0


def drill(
    rig: Rig,
    kills: int,
    events: int,
    *,
    modules: Mapping[str, str] | None = None,
    points: Mapping[str, Sequence[str]] | None = None,
    seed: int = 7,
    say: Say = lambda _: None,
) -> KillReport:
    """Kills both lanes while records come on all topics, lets them finish, and checks.

    Args:
        rig: with nothing in it yet.
        kills: in all; see ``plan``.
        events: how many records are sent, a few more where the kills take long.
        modules: other programs in the place of a lane's, to see that the checker sees what they do wrong.
        points: by lane those to be hit; by default all.
        seed: of the records and of the kills.
        say: takes a line of progress.
    """
    began = time.monotonic()
    traffic, report = Traffic(rig.bootstrap, seed, SHARES), KillReport({}, 0)
    hits = plan(kills, points, seed)
    with Reader(rig.lake.url, rig.incarnations, rig.admin.partitions(LAKE_TOPICS)) as reader:
        killing = _Killing(rig, traffic, report, hits=hits, modules=modules or {}, events=events, say=say)
        killing.run(seed)
        traffic.send(max(0, events - traffic.sent))
        traffic.close()
        say(f"{traffic.sent:,} sent; waiting for both lanes")
        rig.finish(modules)
    say("both lanes have taken everything; checking")
    told = traffic.acknowledged
    report.acknowledged = len(told.first) + len(told.duplicates)
    report.records = report.acknowledged + len(told.invalid)
    check(rig, told, report)
    report.problems += reader.problems(told)
    report.versions, report.joined = reader.versions, reader.joined
    report.seconds = time.monotonic() - began
    return report


class _Killing:
    """One thread a lane kills, the calling one sends."""

    def __init__(
        self,
        rig: Rig,
        traffic: Traffic,
        report: KillReport,
        *,
        hits: Mapping[str, list[Hit]],
        modules: Mapping[str, str],
        events: int,
        say: Say,
    ) -> None:
        self._rig = rig
        self._traffic = traffic
        self._report = report
        self._hits = hits
        self._modules = modules
        self._say = say
        self._wanted = sum(map(len, hits.values()))
        self._share = max(1, events // (self._wanted + 1))
        self._done: Counter[str] = Counter()
        self._ways: Counter[str] = Counter()
        self._failures: list[BaseException] = []

    def run(self, seed: int) -> None:
        threads = [threading.Thread(target=self._kill_all, args=(lane, seed), daemon=True) for lane in self._hits]
        for thread in threads:
            thread.start()
        said = time.monotonic()
        while any(thread.is_alive() for thread in threads) and not self._failures:
            allowed = self._share * (self._done.total() + 1) - self._traffic.sent
            self._traffic.send(min(BLOCK, max(TRICKLE, allowed)))
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                self._say(f"{self._done.total()} of {self._wanted} kills, {self._traffic.sent:,} records sent")
            time.sleep(0 if allowed > BLOCK else TICK_S)
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        self._report.kills, self._report.ways = dict(self._done), dict(self._ways)

    def _kill_all(self, lane: str, seed: int) -> None:
        try:
            windows = sum(self._rig.admin.partitions(LANE_TOPICS[lane]).values())
            victims = Victims(
                self._rig,
                lane,
                self._modules.get(lane, MODULE),
                chance=random.Random(f"{lane}{seed}"),  # noqa: S311 - a drill that can be repeated
                rows=self._share,
                windows=windows,
            )
            for hit in self._hits[lane]:
                if self._failures:
                    return
                self._note(lane, hit, victims.kill(hit))
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread
            self._failures.append(error)

    def _note(self, lane: str, hit: Hit, way: str | None) -> None:
        name = f"{lane}/{hit.point}"
        if way is None:
            self._report.problems.append(f"{name} was not reached: {hit.way}")
            return
        self._done[name] += 1
        if way != hit.way:
            self._ways[f"{name}: {way}"] += 1
