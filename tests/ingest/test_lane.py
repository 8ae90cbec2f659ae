"""A lane has one batch on its way into the sink: nothing of it is lost or twice, whatever that write comes to."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.ingest.buffer import Buffer
from services.ingest.lane import Lane
from services.ingest.ports import MovedError
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from tests.ingest.fakes import INCARNATIONS, NOW, A, B, Memory, NoHistory, event, records, run_of

DOWN = SnowmeltError(Reason.UNAVAILABLE, "the sink is down")


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
def lane(sink: Memory) -> Lane:
    made = Lane("features", sink, NoHistory(), INCARNATIONS)
    made.begin([A, B])
    return made


def names(place: tuple[str, int], start: int, stop: int) -> list[str]:
    return [f"e{place[1] * 1_000_000 + n}" for n in range(start, stop)]


def test_a_batch_is_made_ready_while_the_one_before_is_written(lane: Lane, sink: Memory) -> None:
    sink.open.clear()
    lane.take([run_of(A, 0, 5)])
    assert (sink.prepared, sink.ends) == (1, {})
    assert (lane.positions()[A], lane.oldest_ms()) == (0, NOW)
    sink.open.set()
    lane.take([run_of(A, 5, 9)])
    assert lane.positions()[A] == 5
    lane.settle()
    assert (lane.positions(), lane.oldest_ms()) == ({A: 9, B: 0}, None)
    assert sink.ids[A] == names(A, 0, 9)


def test_what_comes_again_is_passed_over(lane: Lane, sink: Memory) -> None:
    lane.take([run_of(A, 0, 5)])
    lane.take([run_of(A, 0, 8)])
    lane.take([run_of(A, 2, 8)])
    lane.settle()
    assert sink.ids[A] == names(A, 0, 8)


def test_a_write_that_failed_is_tried_again_before_the_next(lane: Lane, sink: Memory) -> None:
    sink.failures = [DOWN, DOWN]
    lane.take([run_of(A, 0, 5)])
    for _ in range(2):
        with pytest.raises(SnowmeltError):
            lane.take([run_of(A, 5, 9)])
    assert sink.ends == {}
    lane.take([run_of(A, 5, 9)])
    lane.settle()
    assert sink.ids[A] == names(A, 0, 9)


def test_a_place_that_moved_is_dropped_until_it_begins_again_and_others_go_on(lane: Lane, sink: Memory) -> None:
    sink.failures = [MovedError([A], "another writer")]
    lane.take([run_of(A, 0, 5)])
    both = [run_of(A, 5, 9), run_of(B, 0, 3)]
    with pytest.raises(MovedError) as raised:
        lane.take(both)
    assert raised.value.places == (A,)
    lane.take(both)
    lane.settle()
    assert (sink.ids[A], sink.ids[B]) == ([], names(B, 0, 3))
    assert lane.begin([A]) == {A: 0}
    lane.take([run_of(A, 0, 9)])
    lane.settle()
    assert sink.ids[A] == names(A, 0, 9)


def test_what_was_written_beside_a_place_that_moved_counts(lane: Lane, sink: Memory) -> None:
    write = sink.prepare

    def prepare(*given: Any) -> Callable[[], None]:
        work = write(*given)

        def partly() -> None:
            work()
            raise MovedError([A], "another writer")

        return partly

    sink.prepare = prepare  # type: ignore[method-assign]
    lane.take([run_of(A, 0, 5), run_of(B, 0, 3)])
    with pytest.raises(MovedError):
        lane.settle()
    assert lane.positions() == {B: 3}


def test_letting_go_waits_for_a_write_that_somebody_else_waits_for(lane: Lane, sink: Memory) -> None:
    sink.open.clear()
    lane.take([run_of(A, 0, 5)])
    waiting = threading.Thread(target=lane.settle)
    waiting.start()
    threading.Timer(0.2, sink.open.set).start()
    lane.forget([A], 10.0)
    assert sink.ends == {A: 5}
    waiting.join()


def test_nothing_is_beaten_of_a_place_that_was_let_go(lane: Lane, sink: Memory) -> None:
    beaten: list[list[tuple[str, int]]] = []
    sink.beat = lambda places: beaten.append(list(places))  # type: ignore[method-assign, assignment]
    lane.beat()
    lane.forget([A])
    lane.beat()
    assert beaten == [[A, B], [B]]


def test_records_in_hand_of_a_place_that_began_anew_leave_no_hole(lane: Lane, sink: Memory) -> None:
    buffer = Buffer(1 << 20)
    lane.take([run_of(A, 0, 100)])
    lane.settle()
    buffer.put([run_of(A, 100, 120), run_of(B, 0, 5)])
    in_hand = buffer.take(1000, 0.0)
    sink.ends[A] = 50
    buffer.hold([A])
    assert lane.begin([A]) == {A: 50}
    buffer.release([A])
    lane.take(in_hand, buffer.current)
    lane.settle()
    assert sink.ends == {A: 50, B: 5}
    buffer.put([run_of(A, 50, 120)])
    lane.take(buffer.take(1000, 0.0), buffer.current)
    lane.settle()
    assert sink.ids[A] == names(A, 0, 100) + names(A, 50, 120)


def test_places_that_begin_learn_of_nothing_but_others_that_moved_are_still_told(lane: Lane, sink: Memory) -> None:
    sink.failures = [MovedError([A, B], "another writer")]
    lane.take([run_of(A, 0, 5), run_of(B, 0, 5)])
    assert lane.begin([A]) == {A: 0}
    with pytest.raises(MovedError) as raised:
        lane.take([run_of(A, 0, 5)])
    assert raised.value.places == (B,)
    lane.take([run_of(A, 0, 5)])
    lane.settle()
    assert sink.ids == {A: names(A, 0, 5)}


def test_all_begin_again_where_the_sink_was_exchanged(lane: Lane, sink: Memory) -> None:
    lane.take([run_of(A, 0, 5)])
    lane.follow()
    sink.other = True
    with pytest.raises(MovedError) as raised:
        lane.follow()
    assert set(raised.value.places) == {A, B}
    assert lane.positions() == {}
    assert sink.ids[A] == names(A, 0, 5)


def test_a_lane_counts_what_is_in_its_sink_and_nothing_else(lane: Lane, sink: Memory) -> None:
    def counted() -> list[float]:
        labels = {"lane": "features", "topic": topics.EVENTS}
        return [
            REGISTRY.get_sample_value("snowmelt_records_total", {**labels, "result": result}) or 0.0
            for result in ("applied", "duplicate", "dead")
        ]

    before = counted()
    sink.failures = [DOWN]
    lane.take([records(A, 0, [event(1), event(2), event(1), None, event(3), b"\xff"])])
    with pytest.raises(SnowmeltError):
        lane.settle()
    assert counted() == before
    lane.settle()
    lane.settle()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [3, 1, 2]


def test_a_sink_that_lost_its_newest_writes_is_noticed_without_a_record(lane: Lane, sink: Memory) -> None:
    lane.take([run_of(A, 0, 5), run_of(B, 0, 5)])
    lane.settle()
    lane.follow()
    sink.ends[B], sink.ids[B] = 3, sink.ids[B][:3]
    with pytest.raises(MovedError) as raised:
        lane.follow()
    assert raised.value.places == (B,)
    assert lane.positions() == {A: 5}
    assert lane.begin([B]) == {B: 3}
    lane.follow()
    lane.take([run_of(B, 3, 5)])
    lane.settle()
    assert sink.ids[B] == names(B, 0, 5)


def stage(figure: str, name: str) -> float:
    return REGISTRY.get_sample_value(f"snowmelt_stage_{figure}", {"stage": name}) or 0.0


def test_each_stage_of_a_batch_is_timed_and_its_failures_counted(lane: Lane, sink: Memory) -> None:
    names = ("ingest.decode", "ingest.prepare", "state.write")
    before = [stage("seconds_count", name) for name in names]
    failed = stage("errors_total", "state.write")
    sink.failures = [DOWN]
    lane.take([run_of(A, 0, 5)])
    with pytest.raises(SnowmeltError):
        lane.settle()
    lane.settle()
    assert [stage("seconds_count", name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 2]
    assert stage("errors_total", "state.write") - failed == 1
