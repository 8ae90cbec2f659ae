"""The brake: a lake lane pauses where much of a topic is bad, says how to go on, and then loses nothing."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.ingest.adapters.accepted import AcceptedBad
from services.ingest.batch import Batch
from services.ingest.crash import CrashPoints
from services.ingest.guard import Guard
from services.ingest.land import LakeSink
from services.ingest.lane import Lane
from services.ingest.verdicts import Verdict, Why
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import DEAD_LETTERS, Lake
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, A, NoHistory, event, records


def batch(start: int, size: int, partition: int = 0) -> Batch:
    place, nothing = (EVENTS, partition), [None] * size
    return Batch(
        EVENTS,
        np.full(size, partition, np.int32),
        np.arange(start, start + size),
        np.zeros(size, np.int64),
        nothing,  # type: ignore[arg-type]
        nothing,  # type: ignore[arg-type]
        nothing,  # type: ignore[arg-type]
        {place: start},
        {place: start + size},
    )


def passes(guard: Guard, start: int, bad: list[bool]) -> bool:
    verdicts = {i: Verdict(Why.UNDECODABLE, "") for i, is_bad in enumerate(bad) if is_bad}
    try:
        guard.check(batch(start, len(bad)), verdicts)
    except SnowmeltError:
        return False
    return True


GOOD, BAD = [False], [True]


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([BAD * 99], True),
        ([BAD * 100], False),
        ([GOOD * 400 + BAD * 100], True),
        ([GOOD * 399 + BAD * 100], False),
        ([BAD * 100 + GOOD * 400], True),
        ([GOOD * 400, BAD * 100], True),
        ([GOOD * 400, BAD * 101], False),
        ([GOOD * 9000 + BAD * 1900, GOOD * 100 + BAD * 101], False),
        ([GOOD * 20_000 + BAD * 2000], True),
        ([GOOD * 20_000 + BAD * 2001], False),
        ([(GOOD * 9 + BAD) * 5000], True),
        ([BAD * 90, GOOD * 10_000, BAD * 90], True),
    ],
)
def test_a_share_of_a_window_pauses_and_few_do_not(batches: list[list[bool]], expected: bool) -> None:
    guard, start = Guard(share=0.2, window=10_000, least=100), 0
    for each in batches[:-1]:
        assert passes(guard, start, each)
        start += len(each)
    assert passes(guard, start, batches[-1]) is expected


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([False, False, False, True]), min_size=1, max_size=20), max_size=12))
def test_it_agrees_with_counting_window_by_window_and_a_batch_asked_again_counts_once(
    batches: list[list[bool]],
) -> None:
    guard, seen, start = Guard(share=0.3, window=15, least=4), [], 0
    for each in batches:
        every = seen + each
        most = max(sum(every[max(0, end - 15) : end]) for end in range(len(seen) + 1, len(every) + 1))
        expected = most < 4 or most <= 0.3 * min(15, len(every))
        for _ in range(2):
            assert passes(guard, start, each) is (expected or not any(each))
        if expected or not any(each):
            seen = every
            start += len(each)


def test_a_share_of_one_is_never_exceeded() -> None:
    assert passes(Guard(share=1.0), 0, BAD * 5000)


class Declared:
    types = EVENT_TYPES

    def __call__(self) -> tuple[str, ...]:
        return self.types


def a_lane(lake: Lake, types: Declared) -> Lane:
    guard = Guard(0.2, 1000, 10, AcceptedBad(Lake(lake.url), INCARNATIONS))
    lane = Lane("lake", LakeSink(lake, INCARNATIONS, types, CrashPoints(), guard=guard), NoHistory(), INCARNATIONS)
    lane.begin([A])
    return lane


def landed(lake: Lake) -> tuple[int, Mapping[str, int]]:
    reasons = lake.read(DEAD_LETTERS, ["reason"])["reason"].to_pylist()
    return lake.rows("events"), {reason: reasons.count(reason) for reason in reasons}


def paused() -> float | None:
    return REGISTRY.get_sample_value("snowmelt_lane_paused", {"lane": "lake", "topic": EVENTS})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made


DEPLOYED = [event(i, type="shared" if i % 2 else "click") for i in range(40)]


def test_a_type_that_is_declared_after_the_pause_loses_nothing(lake: Lake) -> None:
    types = Declared()
    lane = a_lane(lake, types)
    for _ in range(2):
        with pytest.raises(SnowmeltError) as raised:
            lane.take([records(A, 0, DEPLOYED)])
    assert raised.value.reason is Reason.UNAVAILABLE
    assert "unknown_event_type" in raised.value.detail
    assert f"the first not yet taken is {EVENTS}/0/1" in raised.value.detail
    assert "snowmelt deadletters accept snowmelt.events" in raised.value.detail
    assert (landed(lake), paused()) == ((0, {}), 1)
    types.types = (*EVENT_TYPES, "shared")
    lane.take([records(A, 0, DEPLOYED)])
    lane.settle()
    assert (landed(lake), paused()) == ((40, {}), 0)


def test_what_is_accepted_is_dead_and_what_comes_after_pauses_again(lake: Lake) -> None:
    lane = a_lane(lake, Declared())
    with pytest.raises(SnowmeltError):
        lane.take([records(A, 0, DEPLOYED)])
    lake.mark(DEAD_LETTERS, "accepted", {("one", *A): 40})
    lane.take([records(A, 0, DEPLOYED)])
    lane.settle()
    assert (landed(lake), paused()) == ((20, {"unknown_event_type": 20}), 0)
    later = [event(i, type="shared") for i in range(40, 60)]
    with pytest.raises(SnowmeltError):
        lane.take([records(A, 40, later)])
    restarted = a_lane(lake, Declared())
    with pytest.raises(SnowmeltError):
        restarted.take([records(A, 40, later)])
    assert landed(lake) == (20, {"unknown_event_type": 20})
