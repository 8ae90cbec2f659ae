"""The buffer: bounded, by turns, and in the order of each partition."""

import time

import pytest

from services.ingest.buffer import OVERHEAD_BYTES, RESUME_AT, WRITE_SHARE, Buffer, Linger
from snowmelt.runtime.kafka.consumer import Place, Records

HOT, CALM, OTHER = ("t", 0), ("t", 1), ("t", 2)


def records(place: Place, start: int, count: int, size: int = 0) -> Records:
    offsets = list(range(start, start + count))
    return Records(*place, offsets, offsets, [None] * count, [b"x" * size] * count, [None] * count)


def offsets(taken: list[Records], place: Place) -> list[int]:
    return [offset for each in taken if (each.topic, each.partition) == place for offset in each.offsets]


def test_keys_and_headers_take_room_as_values_do() -> None:
    plain, big = records(HOT, 0, 10), b"k" * 1_000_000
    keyed = Records(*HOT, plain.offsets, plain.times_ms, [big] * 10, [None] * 10, [None] * 10)
    named = Records(*HOT, plain.offsets, plain.times_ms, [None] * 10, [None] * 10, [[("h", big), ("n", b"")]] * 10)
    for each in (keyed, named):
        buffer = Buffer(10_000_000)
        buffer.put([each])
        assert 1 <= buffer.fill < 1.01


def test_a_crowded_partition_delays_itself_alone() -> None:
    buffer = Buffer(1 << 30, place_rows=100)
    buffer.put([records(HOT, start, 1000) for start in range(0, 50_000, 1000)])
    buffer.put([records(CALM, 0, 10), records(OTHER, 0, 250)])
    taken = buffer.take(1000, 0.0)
    assert offsets(taken, HOT) == list(range(100))
    assert offsets(taken, CALM) == list(range(10))
    assert offsets(taken, OTHER) == list(range(100))
    buffer.put([records(CALM, 10, 5)])
    assert offsets(buffer.take(1000, 0.0), CALM) == list(range(10, 15))


def test_a_write_is_shared_as_evenly_as_what_waits_allows() -> None:
    buffer = Buffer(1 << 30)
    buffer.put([records(HOT, start, 1000) for start in range(0, 50_000, 1000)])
    buffer.put([records(CALM, 0, 120), records(OTHER, 0, 700)])
    taken = buffer.take(1000, 0.0)
    assert {place: len(offsets(taken, place)) for place in (HOT, CALM, OTHER)} == {HOT: 440, CALM: 120, OTHER: 440}


def test_what_does_not_fit_one_write_comes_first_in_the_next_and_nothing_is_left_out() -> None:
    buffer = Buffer(1 << 30, place_rows=70)
    buffer.put([records(HOT, 0, 150), records(CALM, 0, 90), records(HOT, 150, 30), records(OTHER, 0, 40)])
    seen: dict[Place, list[int]] = {HOT: [], CALM: [], OTHER: []}
    sizes = []
    while len(buffer):
        taken = buffer.take(100, 0.0)
        sizes.append(sum(len(each.offsets) for each in taken))
        for place, found in seen.items():
            found.extend(offsets(taken, place))
    assert seen == {HOT: list(range(180)), CALM: list(range(90)), OTHER: list(range(40))}
    assert max(sizes) <= 100
    assert (buffer.fill, buffer.oldest_ms) == (0.0, None)


def test_a_write_takes_its_share_of_the_bytes() -> None:
    buffer = Buffer(100 * 1000, linger=Linger(10.0))
    buffer.put([records(HOT, start, 1, 1000 - OVERHEAD_BYTES) for start in range(90)])
    assert buffer.fill == pytest.approx(0.9)
    assert len(buffer.take(1_000_000, 10.0)) == 100 * WRITE_SHARE + 1
    assert buffer.fill == pytest.approx(0.39)


@pytest.mark.parametrize(("rows", "handed_on"), [(39, 0), (40, 40)])
def test_what_waits_where_reading_may_stand_still_does_not_linger(rows: int, handed_on: int) -> None:
    buffer = Buffer(100 * 1000, linger=Linger(3600.0))
    buffer.put([records(HOT, 0, rows, 1000 - OVERHEAD_BYTES)])
    assert (buffer.fill >= RESUME_AT) == bool(handed_on)
    assert len(offsets(buffer.take(1_000_000, 0.0), HOT)) == handed_on


def test_who_crowds_the_buffer() -> None:
    buffer = Buffer(100 * 1000)
    buffer.put([records(HOT, 0, 75, 1000 - OVERHEAD_BYTES), records(CALM, 0, 10, 1000 - OVERHEAD_BYTES)])
    assert buffer.crowded(0.8) == {HOT}
    buffer.hold([HOT])
    assert buffer.fill == pytest.approx(0.1)
    assert len(buffer) == 10


def test_each_topic_gathers_its_own_time_and_all_are_handed_on_where_there_are_enough() -> None:
    slow: Place = ("slow", 0)
    buffer = Buffer(1 << 30, linger=Linger(0.0, {"slow": 3600.0}))
    buffer.put([records(slow, 0, 10), records(CALM, 0, 10)])
    assert places(buffer.take(100, 0.0)) == {CALM}
    assert buffer.take(100, 0.0) == []
    buffer.put([records(slow, 10, 80), records(CALM, 10, 10)])
    assert places(buffer.take(100, 0.0)) == {slow, CALM}
    buffer.put([records(slow, 90, 5)])
    assert buffer.take(100, 0.0) == []
    buffer.hold([slow])
    buffer.release([slow])
    buffer.put([records(slow, 90, 5)])
    buffer.close()
    assert places(buffer.take(100, 3600.0)) == {slow}
    assert buffer.take(100, 3600.0) == []


def test_records_are_handed_on_once_they_have_gathered_and_not_before() -> None:
    buffer = Buffer(1 << 30, linger=Linger(0.2))
    began = time.monotonic()
    buffer.put([records(CALM, 0, 3)])
    assert len(buffer.take(100, 20.0)) == 1
    assert time.monotonic() - began >= 0.2


def test_nothing_is_due_of_what_was_dropped() -> None:
    buffer = Buffer(1 << 30)
    buffer.put([records(CALM, 0, 3)])
    buffer.hold([CALM])
    began = time.monotonic()
    assert buffer.take(100, 0.2) == []
    assert time.monotonic() - began >= 0.2


def places(taken: list[Records]) -> set[Place]:
    return {(each.topic, each.partition) for each in taken}
