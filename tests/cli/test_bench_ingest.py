"""How ``bench ingest`` counts: a lane from its first write, an event from when it was due."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import pytest

from snowmelt.cli.ingest_latency import latencies_ms
from snowmelt.cli.ingest_traffic import Look, rate
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.producer import Delivery

COUNT, RATE = 40, 400
DUE_S = [number / RATE for number in range(COUNT)]
LAST_DUE_S = DUE_S[-1]


def delivered(number: int) -> "Future[Delivery]":
    done: Future[Delivery] = Future()
    done.set_result(Delivery("events", number % 2, number // 2))
    return done


def everything(partitions: set[int]) -> Mapping[int, Sequence[int | None]]:
    return dict.fromkeys(partitions, (COUNT, COUNT))


def test_events_go_on_and_grow_late_while_redis_holds_its_answer() -> None:
    all_sent = threading.Event()

    def submit(number: int) -> "Future[Delivery]":
        done = delivered(number)
        if number == COUNT - 1:
            all_sent.set()
        return done

    def held(partitions: set[int]) -> Mapping[int, Sequence[int | None]]:
        assert all_sent.wait(20), "nothing is sent while the fences are read"
        return everything(partitions)

    took = latencies_ms(RATE, COUNT, submit, lambda _: (0, 1), held)
    assert sorted(due_s for due_s, _ in took) == DUE_S
    assert all(ms >= (LAST_DUE_S - due_s) * 1000 for due_s, ms in took)


def test_an_event_that_is_sent_late_is_counted_from_when_it_was_due() -> None:
    def submit(number: int) -> "Future[Delivery]":
        time.sleep(0.0 if number else 2 * LAST_DUE_S)
        return delivered(number)

    took = latencies_ms(RATE, COUNT, submit, lambda _: (0,), everything)
    assert sorted(due_s for due_s, _ in took) == DUE_S
    assert all(ms >= (2 * LAST_DUE_S - due_s) * 1000 for due_s, ms in took)


def test_an_event_is_online_when_all_its_buckets_are() -> None:
    looks: list[int] = []

    def one_behind(partitions: set[int]) -> Mapping[int, Sequence[int | None]]:
        looks.append(len(partitions))
        return dict.fromkeys(partitions, (COUNT, None if len(looks) < 100 else COUNT))

    latencies_ms(RATE, COUNT, delivered, lambda _: (0, 1), one_behind)
    assert len(looks) == 100


def test_an_event_that_does_not_come_ends_the_bench() -> None:
    with pytest.raises(SnowmeltError) as raised:
        latencies_ms(RATE, 4, delivered, lambda _: (0,), lambda asked: dict.fromkeys(asked, (1,)), patience_s=0.05)
    assert raised.value.reason is Reason.UNAVAILABLE
    assert "2 of 4 events were not online" in raised.value.detail


def test_an_event_that_kafka_does_not_take_ends_the_bench() -> None:
    def refused(_: int) -> "Future[Delivery]":
        done: Future[Delivery] = Future()
        done.set_exception(SnowmeltError(Reason.UNAVAILABLE, "Kafka did not take the record"))
        return done

    with pytest.raises(SnowmeltError, match="did not take"):
        latencies_ms(RATE, 4, refused, lambda _: (0,), everything)


READY, FIRST = Look(0, 10.0, 5.0, 1.0), Look(1_000, 11.0, 5.5, 1.1)


def test_a_lane_is_timed_from_its_first_write() -> None:
    found = rate(READY, FIRST, Look(9_000, 13.0, 6.5, 1.9))
    assert (found["timed_from"], found["timed_events"]) == ("first write", 8_000)
    assert found["events_per_s"] == pytest.approx(4_000)
    assert found["events_per_cpu_s"] == pytest.approx(8_000)
    assert found["redis_cpu_us_per_event"] == pytest.approx(100)


def test_a_lane_with_few_events_is_timed_from_its_readiness() -> None:
    found = rate(READY, FIRST, FIRST)
    assert (found["timed_from"], found["timed_events"]) == ("ready", 1_000)
    assert found["events_per_s"] == pytest.approx(1_000)
