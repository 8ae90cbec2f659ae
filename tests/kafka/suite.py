"""What every broker must do; a backend inherits the suite and declares its gaps as strict xfail."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import confluent_kafka
import pytest

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Consumer, Place, Records
from snowmelt.runtime.kafka.lag import first_times_ms
from snowmelt.runtime.kafka.producer import Delivery, Producer


@dataclass(frozen=True)
class Backend:
    """A broker and a topic of four partitions in it; ``configured`` is the incarnation where the broker has none."""

    bootstrap: str
    topic: str
    configured: str = ""

    def ends(self) -> dict[Place, int]:
        return {place: mark.high for place, mark in Admin(self.bootstrap).watermarks([self.topic]).items()}


def read(consumer: Consumer, count: int, seconds: float = 20.0) -> list[Records]:
    """Polls until ``count`` records have come, or the time has passed."""
    got: list[Records] = []
    deadline = time.monotonic() + seconds
    while sum(len(r.offsets) for r in got) < count and time.monotonic() < deadline:
        got += consumer.poll(1000, 0.2).records
    return got


def send(backend: Backend, count: int, tag: str = "v") -> list[Delivery]:
    producer = Producer(backend.bootstrap)
    futures = [
        producer.submit(
            backend.topic, b"k%d" % (i % 7), b"%s%d" % (tag.encode(), i), 1_700_000_000_000 + i, {"n": b"%d" % i}
        )
        for i in range(count)
    ]
    producer.close()
    return [future.result() for future in futures]


Start = Callable[[], AbstractContextManager[Backend]]
"""Starts a broker of the test's own; called again, on what the one before has left."""


class BrokerSuite:
    """The suite; a backend provides the fixtures ``backend``, ``compacted`` (its topic is) and ``start``."""

    patience_s = 60.0
    """How long a broker may take for what it does in its own time."""

    def test_records_come_back_in_order_with_all_their_parts(self, backend: Backend) -> None:
        before = backend.ends()
        send(backend, 500)
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign(before)
        got = read(consumer, 500)
        consumer.close()
        values: list[int] = []
        for records in got:
            numbers = [int((value or b"")[1:]) for value in records.values]
            assert numbers == sorted(numbers)
            assert records.keys == [b"k%d" % (n % 7) for n in numbers]
            assert records.times_ms == [1_700_000_000_000 + n for n in numbers]
            assert records.headers == [[("n", b"%d" % n)] for n in numbers]
            values += numbers
        assert sorted(values) == list(range(500))

    def test_offsets_are_consecutive_in_each_partition(self, backend: Backend) -> None:
        before = backend.ends()
        places = [(d.partition, d.offset) for d in send(backend, 300)]
        for (_, partition), start in before.items():
            mine = [offset for p, offset in places if p == partition]
            assert mine == list(range(start, start + len(mine)))

    def test_one_key_stays_in_one_partition(self, backend: Backend) -> None:
        partitions: dict[int, set[int]] = {}
        for i, delivery in enumerate(send(backend, 70)):
            partitions.setdefault(i % 7, set()).add(delivery.partition)
        assert all(len(found) == 1 for found in partitions.values())

    def test_a_reader_begins_where_it_is_told(self, backend: Backend) -> None:
        send(backend, 100)
        place, end = max(backend.ends().items(), key=lambda each: each[1])
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign({place: end - 3})
        got = read(consumer, 3)
        consumer.close()
        assert [offset for records in got for offset in records.offsets] == [end - 3, end - 2, end - 1]

    def test_a_partition_that_is_left_begins_elsewhere(self, backend: Backend) -> None:
        send(backend, 100)
        place, end = max(backend.ends().items(), key=lambda each: each[1])
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.begin({place: end - 2})
        assert read(consumer, 2)
        consumer.leave([place])
        consumer.begin({place: end - 4})
        offsets = [offset for records in read(consumer, 4) for offset in records.offsets]
        consumer.close()
        assert offsets == [end - 4, end - 3, end - 2, end - 1]

    def test_a_position_beyond_the_log_is_said_and_not_reset(self, backend: Backend) -> None:
        place, end = next(iter(backend.ends().items()))
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign({place: end + 1000})
        deadline = time.monotonic() + 20
        lost: list[Place] = []
        while not lost and time.monotonic() < deadline:
            polled = consumer.poll(100, 0.2)
            assert not polled.records
            lost = polled.out_of_range
        consumer.close()
        assert lost == [place]

    def test_the_first_waiting_record_of_each_partition_is_heard_whatever_another_has(
        self, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("snowmelt.runtime.kafka.lag._LOOK_S", 60.0)  # the order is looked at here, not the time
        crowded = Producer(backend.bootstrap)
        for _ in range(15_000):
            crowded.post(backend.topic, b"k0", b"v", 1_600_000_000_000)
        crowded.close()
        ends = backend.ends()
        sent = send(backend, 200)
        starts = {(backend.topic, each.partition): ends[backend.topic, each.partition] for each in sent}
        (behind,) = {d.partition for d in sent[::7]}
        starts[backend.topic, behind] -= 15_000
        found = first_times_ms(backend.bootstrap, starts)
        expected = {}
        for number, each in enumerate(sent):
            expected.setdefault((backend.topic, each.partition), 1_700_000_000_000 + number)
        expected[backend.topic, behind] = 1_600_000_000_000
        assert found == expected
        assert first_times_ms(backend.bootstrap, {}) == {}

    def test_a_group_gives_every_partition_to_its_member(self, backend: Backend) -> None:
        before = backend.ends()
        send(backend, 100)
        given: list[Place] = []
        consumer = Consumer(backend.bootstrap, f"suite-{time.monotonic_ns()}")
        consumer.subscribe([backend.topic], given.extend, lambda _: None)
        deadline = time.monotonic() + 30
        while len(given) < len(before) and time.monotonic() < deadline:
            assert not consumer.poll(100, 0.2).records
        consumer.begin({place: before[place] for place in given})
        got = read(consumer, 100, 30)
        consumer.close()
        assert sorted(given) == sorted(before)
        assert sum(len(records.offsets) for records in got) == 100

    def test_paused_partitions_bring_nothing_until_resumed(self, backend: Backend) -> None:
        before = backend.ends()
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign(before)
        consumer.poll(10, 0.2)
        consumer.pause(before)
        send(backend, 50)
        assert not read(consumer, 1, 1.0)
        consumer.resume(before)
        got = read(consumer, 50)
        consumer.close()
        assert sum(len(records.offsets) for records in got) == 50

    def test_a_topic_has_an_incarnation_of_its_own(self, backend: Backend) -> None:
        found = Admin(backend.bootstrap).incarnations([backend.topic], backend.configured)
        assert found[backend.topic]
        assert "/" not in found[backend.topic]

    def test_a_topic_tells_its_incarnation_unconfigured(self, backend: Backend) -> None:
        assert Admin(backend.bootstrap, 5).incarnations([backend.topic])[backend.topic]

    def test_a_record_beyond_the_brokers_limit_is_refused(self, backend: Backend) -> None:
        producer = Producer(backend.bootstrap, max_record_bytes=8_000_000)
        refused = producer.submit(backend.topic, b"k", b"x" * 4_000_000, 1_700_000_000_000)
        producer.close()
        with pytest.raises(SnowmeltError, match="did not take"):
            refused.result()

    def test_what_was_acknowledged_stays_however_much_it_is(self, backend: Backend) -> None:
        producer = Producer(backend.bootstrap)
        sent = [producer.submit(backend.topic, b"k", b"x" * 500_000, 1_700_000_000_000) for _ in range(20)]
        producer.close()
        first = sent[0].result()
        place = (backend.topic, first.partition)
        assert Admin(backend.bootstrap).watermarks([backend.topic])[place].low <= first.offset
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign({place: first.offset})
        got = read(consumer, len(sent))
        consumer.close()
        offsets = [offset for records in got for offset in records.offsets]
        assert offsets == [each.result().offset for each in sent]

    def test_a_second_start_keeps_what_was_written(self, start: Start) -> None:
        with start() as backend:
            incarnation = Admin(backend.bootstrap).incarnations([backend.topic], backend.configured)
            ends = backend.ends()
            send(backend, 40)
        with start() as again:
            assert sum(again.ends().values()) == sum(ends.values()) + 40
            assert again.bootstrap == backend.bootstrap
            assert Admin(again.bootstrap).incarnations([again.topic], again.configured) == incarnation

    def test_a_compacted_topic_keeps_the_newest_of_a_key(self, compacted: Backend) -> None:
        sent = 0

        def kept() -> list[bytes | None]:
            nonlocal sent
            producer = Producer(compacted.bootstrap)
            # Kafka compacts what is written no more: by its own time a record closes what lies long enough before it.
            times_ms = [1_700_000_000_000 + 1000 * n for n in range(sent, sent + 50)]
            futures = [producer.submit(compacted.topic, b"k", b"%d" % n, t) for n, t in enumerate(times_ms, sent)]
            producer.close()
            sent += 50
            last = futures[-1].result()
            consumer = Consumer(compacted.bootstrap, "suite")
            consumer.assign({(compacted.topic, last.partition): 0})
            values: list[bytes | None] = []
            while b"%d" % (sent - 1) not in values:
                values += [value for records in read(consumer, 1) for value in records.values]
            consumer.close()
            return values

        deadline = time.monotonic() + self.patience_s
        values = kept()
        while len(values) == sent and time.monotonic() < deadline:
            values = kept()
        assert len(values) < sent
        assert values[-1] == b"%d" % (sent - 1)

    def test_a_time_leads_to_its_record(self, backend: Backend) -> None:
        sent = [each for each in enumerate(send(backend, 200)) if each[0] % 7 == 3]  # of one key
        places = {(backend.topic, delivery.partition) for _, delivery in sent}
        for n, delivery in sent[:: len(sent) // 3]:
            found = Admin(backend.bootstrap).offsets_at(list(places), 1_700_000_000_000 + n)
            # Other keys share the partition; none of theirs has this time.
            assert found == {(backend.topic, delivery.partition): delivery.offset}

    def test_aborted_records_are_not_read(self, backend: Backend) -> None:
        before = backend.ends()
        writer = confluent_kafka.Producer(
            {"bootstrap.servers": backend.bootstrap, "transactional.id": f"suite-{time.monotonic_ns()}", "log_level": 0}
        )
        writer.init_transactions(30)
        writer.begin_transaction()
        writer.produce(backend.topic, b"aborted", b"k")
        writer.flush(10)
        writer.abort_transaction(10)
        send(backend, 20, "c")
        consumer = Consumer(backend.bootstrap, "suite")
        consumer.assign(before)
        got = read(consumer, 20)
        got += read(consumer, 1, 1.0)
        consumer.close()
        values = [value for records in got for value in records.values]
        assert len(values) == 20
        assert b"aborted" not in values
