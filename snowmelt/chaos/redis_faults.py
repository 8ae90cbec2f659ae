"""Redis is killed, cut, emptied and failed over while records of all topics flow; after each all is recomputed."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from snowmelt.chaos.bad_records import NOW_MS, SHARES
from snowmelt.chaos.check import Report as Checked
from snowmelt.chaos.check import check
from snowmelt.chaos.flow import Flow
from snowmelt.chaos.followers import Follower
from snowmelt.chaos.rig import LANES, MODULE, Rig, free_port, until
from snowmelt.chaos.states import Recomputation
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import FEATURE_TOPICS
from snowmelt.featurestore.item_replica import ItemReplica

KINDS = ("kills", "cuts", "flushes", "failovers")
AS_OF_MS = NOW_MS + HOUR_MS
WARM_S = 60.0
WARM_RECORDS = 500
RATE = 1_000.0
"""Records a second while a fault is done."""


@dataclass
class Report:
    """What the drill found; ``problems`` is empty where every record is there once, online and in every follower.

    Attributes:
        faults: how often each kind was done.
        acknowledged, lost, twice: valid records, and of them those that are not in the lake, or again.
        comparisons, states: how often the online state was compared with a recomputation, and states compared in all.
        taken_bytes: by kind, what Redis had written and did not have any more.
        recovery_s: by kind, from the blow until both sinks hold all that was acknowledged; p50 and max.
        follow_s: from then on until the follower has it; p50 and max.
    """

    faults: dict[str, int]
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    comparisons: int = 0
    states: int = 0
    taken_bytes: dict[str, int] = field(default_factory=lambda: {"cuts": 0, "failovers": 0})
    recovery_s: dict[str, dict[str, float]] = field(default_factory=dict)
    follow_s: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class _Drill:
    def __init__(
        self, rig: Rig, report: Report, traffic: Traffic, follower: Follower, *, patience_s: float, seed: int
    ) -> None:
        self._rig, self._report, self._traffic, self._follower = rig, report, traffic, follower
        self._patience_s = patience_s
        self._random = random.Random(seed)  # noqa: S311 - a drill that can be repeated
        self._anew = Recomputation(rig.lake, rig.store)
        self._took: dict[str, list[float]] = {}
        self._followed: list[float] = []

    def warm(self) -> None:
        """Lets both lanes take some records, so that there is something to lose, and no fault pays for their start.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        self._traffic.send(WARM_RECORDS)
        if problem := self._recovered(WARM_S):
            raise SnowmeltError(Reason.UNAVAILABLE, f"before any fault: {problem}")

    def strike(self, kind: str) -> bool:
        """One fault under load, then the comparison; false where the rest makes no sense any more."""
        blow: Callable[[], float] = getattr(self, f"_{kind}")
        with Flow(self._traffic, RATE):
            time.sleep(self._random.uniform(0.2, 0.8))
            struck = blow()
        wrong = [problem] if (problem := self._recovered(self._patience_s)) else []
        recovered = time.monotonic()
        self._took.setdefault(kind, []).append(recovered - struck)
        if differing := self._follower.converged(AS_OF_MS, self._patience_s):
            wrong.append(f"the follower differs in {differing}")
        self._followed.append(time.monotonic() - recovered)
        self._report.problems += [f"after {kind} {len(self._took[kind])}: {each}" for each in wrong]
        if not wrong and kind != "flushes":
            until(self._rig.redis.renewed, self._patience_s, "no lane had Redis write its append-only file anew")
        return not wrong

    def figures(self) -> None:
        """Puts what was measured into the report."""
        self._report.faults = {kind: len(took) for kind, took in self._took.items()}
        self._report.recovery_s = {kind: _p50_max(took) for kind, took in self._took.items()}
        self._report.follow_s = _p50_max(self._followed)

    def _kills(self) -> float:
        struck = time.monotonic()
        self._rig.redis.kill()
        self._rig.redis.start()
        return struck

    def _cuts(self) -> float:
        until(lambda: self._rig.redis.tail_bytes() > 0, self._patience_s, "Redis was not written to")
        tail = self._rig.redis.tail_bytes()
        struck = time.monotonic()
        self._rig.redis.kill()
        self._report.taken_bytes["cuts"] += self._rig.redis.cut(tail, self._random)
        self._rig.redis.start()
        return struck

    def _flushes(self) -> float:
        self._rig.redis.client.flushall()
        return time.monotonic()

    def _failovers(self) -> float:
        folder = self._rig.folder / f"replica-{len(self._took.get('failovers', ()))}"
        replica = self._rig.redis.replica(folder, free_port())
        replica.client.replicaof("NO", "ONE")
        left = replica.position()
        time.sleep(self._random.uniform(0.2, 1.0))
        lag = self._rig.redis.position() - left
        struck = time.monotonic()
        self._rig.redis.take_over(replica)
        self._report.taken_bytes["failovers"] += lag
        if lag <= 0:
            self._report.problems.append("the replica did not lag")
        return struck

    def _recovered(self, patience_s: float) -> str:
        """Waits until the online state is what the lake folds to, and the lake has all; else what differs."""
        deadline = time.monotonic() + patience_s
        while not self._rig.drained("lake"):
            if time.monotonic() > deadline:
                return "the lake lane did not catch up"
            time.sleep(0.02)
        landed = self._anew.catch_up()
        self._report.comparisons += 1
        self._report.states += self._anew.states()
        while wrong := self._differs(landed):
            if time.monotonic() > deadline:
                return wrong
            time.sleep(0.02)
        return ""

    def _differs(self, landed: Mapping[str, int]) -> str:
        try:
            sums = self._rig.store.fence_table.counters()
            applied = {topic: sums[topic].applied if topic in sums else 0 for topic in FEATURE_TOPICS}
            if applied != landed:
                return f"applied {applied}, landed {landed}"
            wrong = self._anew.differing()
        except SnowmeltError as error:
            return error.detail
        return f"{wrong} differ from the lake's recomputation" if wrong else ""


def drill(
    rig: Rig,
    faults: Mapping[str, int],
    *,
    modules: Mapping[str, str] | None = None,
    replica: type[ItemReplica] = ItemReplica,
    patience_s: float = 60.0,
    seed: int = 7,
) -> Report:
    """Does each fault so often, in an order of chance, while records flow through both lanes; compares after each.

    Args:
        rig: with nothing in it yet.
        faults: how often, by ``KINDS``.
        modules: other programs in the place of a lane's, to see that what they do wrong is seen.
        replica: the follower, for the same.
        patience_s: how long a recovery may take.
        seed: of the traffic and the order.
    """
    began = time.monotonic()
    order = [kind for kind in KINDS for _ in range(faults.get(kind, 0))]
    random.Random(seed).shuffle(order)  # noqa: S311 - a drill that can be repeated
    traffic, report, modules = Traffic(rig.bootstrap, seed, SHARES), Report({}), modules or {}
    for lane in LANES:
        rig.start(lane, modules.get(lane, MODULE), flush_rows=500, flush_seconds=0.2)
    for lane in LANES:
        rig.wait_ready(lane)
    with Follower(rig, replica) as follower:
        run = _Drill(rig, report, traffic, follower, patience_s=patience_s, seed=seed)
        run.warm()
        all(run.strike(kind) for kind in order)
        run.figures()
    traffic.close()
    checked = Checked({}, len(traffic.acknowledged.first))
    if not report.problems:
        check(rig, traffic.acknowledged, checked)
    report.acknowledged, report.lost, report.twice = checked.acknowledged, checked.lost, checked.twice
    report.problems += checked.problems
    report.seconds = time.monotonic() - began
    return report


def _p50_max(seconds: list[float]) -> dict[str, float]:
    return {"p50": float(np.median(seconds)), "max": max(seconds)} if seconds else {}
