"""The pipeline over a log and a sink in memory: gaps stop a partition with an alarm, a full buffer pauses the log."""

import threading
from collections.abc import Callable

import pytest

from services.ingest import intake as module
from services.ingest.buffer import OVERHEAD_BYTES
from services.ingest.ports import MovedError
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.consumer import Place
from tests.ingest.fakes import A, B, event, until
from tests.ingest.pipeline import Pipeline


def test_everything_is_written_once_and_what_was_read_is_written_before_it_ends() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 730)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
        pipeline.sink.open.clear()
        pipeline.fill(B, 40)
        until(lambda: pipeline.log.at[B] == 40)
        pipeline.sink.open.set()
    assert pipeline.whole(A, B)
    assert pipeline.log.committed == {A: 730, B: 40}


def cut(pipeline: Pipeline) -> None:
    pipeline.log.low[A] = 30


def shortened(pipeline: Pipeline) -> None:
    pipeline.sink.ends[A] = 500


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (cut, "records [0, 30) are lost; to go on, accept the gap snowmelt.events/0:0-30"),
        (shortened, "the sink is at 500, but the log ends at 100"),
    ],
)
def test_a_gap_stops_its_partition_with_an_alarm_and_no_other(damage: Callable[[Pipeline], None], text: str) -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 100)
    pipeline.fill(B, 100)
    damage(pipeline)
    with pipeline.running():
        until(lambda: pipeline.whole(B))
        assert text in pipeline.intake.stopped[A]
    assert list(pipeline.intake.stopped) == [A]
    assert pipeline.sink.ids[A] == []


@pytest.mark.parametrize(("accepted", "begun"), [((0, 30), True), ((0, 31), False)])
def test_a_gap_is_passed_over_where_exactly_that_one_was_accepted(accepted: tuple[int, int], begun: bool) -> None:
    pipeline = Pipeline(accepted={A: accepted})
    pipeline.fill(A, 100)
    pipeline.log.low[A] = 30
    with pipeline.running():
        until(lambda: A in pipeline.intake.stopped or pipeline.sink.ends.get(A) == 100)
    assert (A in pipeline.intake.stopped) is not begun
    assert pipeline.sink.ids[A] == ([f"e{n}" for n in range(30, 100)] if begun else [])


def test_a_log_that_is_cut_while_it_is_read_stops_its_partition() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 10)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
        pipeline.log.low[A] = 60
        pipeline.fill(A, 90)
        until(lambda: A in pipeline.intake.stopped)
        pipeline.fill(B, 100)
        until(lambda: pipeline.whole(B))
    assert "records [10, 60) are lost; to go on, accept the gap snowmelt.events/0:10-60" in pipeline.intake.stopped[A]
    assert pipeline.sink.ids[A] == [f"e{n}" for n in range(10)]


def test_a_full_buffer_pauses_the_log_until_it_is_well_down_again() -> None:
    pipeline = Pipeline(limit_bytes=150_000)
    pipeline.sink.open.clear()
    fills: list[float] = []
    resume = pipeline.log.resume

    def noted(places: object) -> None:
        fills.append(pipeline.intake.buffer.fill)
        resume(pipeline.log.paused & {A, B})

    pipeline.log.resume = noted  # type: ignore[method-assign]
    with pipeline.running():
        for batch in (1, 2):  # one on its way, one ready: from here on nothing is taken out of the buffer
            pipeline.fill(A, 10)
            until(lambda: pipeline.sink.prepared == batch)  # noqa: B023
        pipeline.fill(A, 3000)
        until(lambda: pipeline.log.paused)
        read = pipeline.log.at[A]
        assert pipeline.intake.buffer.fill > module.PAUSE_AT
        polls = pipeline.log.polls
        until(lambda: pipeline.log.polls > polls + 20)
        assert (pipeline.log.at[A], pipeline.log.calls) == (read, ["begin", "pause"])
        pipeline.sink.open.set()
        until(lambda: pipeline.whole(A))
    assert 0 < len(fills) <= pipeline.log.calls.count("pause")
    assert max(fills) < module.RESUME_AT
    assert read < 1500


@pytest.mark.parametrize(("fill", "paused"), [(1.1, {A}), (1.4, {A, B})])
def test_a_partition_with_nothing_waiting_is_read_on_beside_a_buffer_that_is_just_full(
    fill: float, paused: set[Place]
) -> None:
    count = 500
    pipeline = Pipeline(limit_bytes=int(count * (OVERHEAD_BYTES + len(event(1000))) / fill))
    pipeline.log.step = count
    pipeline.sink.open.clear()
    with pipeline.running():
        for batch in (1, 2):
            pipeline.fill(A, 10)
            until(lambda: pipeline.sink.prepared == batch)  # noqa: B023
        pipeline.fill(A, count)
        until(lambda: pipeline.log.paused)
        assert pipeline.intake.buffer.fill == pytest.approx(fill, abs=0.1)
        assert pipeline.log.paused == paused
        pipeline.fill(B, 3)
        until(lambda: pipeline.log.paused == {A, B})
        polls = pipeline.log.polls
        until(lambda: pipeline.log.polls > polls + 5)
        assert pipeline.log.at[B] == (0 if B in paused else 3)
        pipeline.sink.open.set()
        until(lambda: pipeline.whole(A, B))


def test_a_partition_that_moved_goes_back_to_its_sink() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 400)
    pipeline.fill(B, 400)
    pipeline.sink.failures = [MovedError([A, B], "another writer")]
    with pipeline.running():
        until(lambda: pipeline.whole(A, B))
        assert pipeline.log.calls.count("begin") > 1


def test_a_sink_that_is_down_is_waited_for_also_on_the_way_back_to_it() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 400)
    down = SnowmeltError(Reason.UNAVAILABLE, "down")
    pipeline.sink.failures = [down, down, MovedError([A], "it has lost its newest writes")]
    with pipeline.running():
        pipeline.sink.begins_fail = [down, down]
        until(lambda: pipeline.whole(A))
        until(lambda: not pipeline.intake.reasons())
    assert pipeline.sink.begins_fail == []


def test_polling_never_waits_for_a_write_not_even_to_show_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOW_S", 0.0)
    pipeline = Pipeline()
    pipeline.sink.open.clear()
    with pipeline.running():
        pipeline.fill(A, 10)
        until(lambda: pipeline.sink.prepared == 1)
        polls = pipeline.log.polls
        until(lambda: pipeline.log.polls > polls + 20)
        assert not pipeline.sink.ids[A]


def test_what_is_taken_away_while_it_is_opened_is_not_read() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 50)
    pipeline.fill(B, 50)
    down = SnowmeltError(Reason.UNAVAILABLE, "down")
    pipeline.sink.begins_fail = [down] * 3
    with pipeline.running():
        until(lambda: len(pipeline.sink.begins_fail) < 3)
        pipeline.intake.taken([A])
        until(lambda: pipeline.whole(B))
        assert A not in pipeline.log.at
        pipeline.intake.given([A])
        until(lambda: pipeline.whole(A))


def test_letting_go_does_not_wait_for_a_sink_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LET_GO_S", 0.05)
    pipeline = Pipeline()
    pipeline.sink.open.clear()
    pipeline.fill(A, 10)
    with pipeline.running():
        until(lambda: pipeline.sink.prepared)
        pipeline.intake.taken([A])
        assert not pipeline.sink.ids[A]
        assert A not in pipeline.lane.positions()
        pipeline.sink.open.set()
        until(lambda: pipeline.sink.ids[A])
        pipeline.intake.given([A])
        pipeline.fill(A, 10)
        until(lambda: pipeline.whole(A))


def test_a_partition_that_was_paused_is_read_again_where_it_comes_back() -> None:
    pipeline = Pipeline(limit_bytes=150_000)
    pipeline.sink.open.clear()
    with pipeline.running():
        pipeline.fill(A, 3000)
        until(lambda: A in pipeline.log.paused)
        pipeline.intake.taken([A])
        assert A not in pipeline.log.paused
        pipeline.sink.open.set()
        pipeline.intake.given([A])
        until(lambda: pipeline.whole(A))


def test_an_opening_that_fails_by_a_fault_of_ours_ends_the_lane() -> None:
    pipeline = Pipeline()
    pipeline.sink.begins_fail = [ValueError("a fault")]
    pipeline.intake.given([A])
    with pytest.raises(ValueError, match="a fault"):
        pipeline.intake.run(threading.Event())


def test_a_log_that_is_cut_behind_a_place_that_went_back_stops_it_by_name() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 100)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
        pipeline.log.low[A] = 60
        pipeline.sink.ends[A] = 20
        until(lambda: A in pipeline.intake.stopped)
    assert "records [20, 60) are lost" in pipeline.intake.stopped[A]
