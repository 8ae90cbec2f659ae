"""What the gateway writes to Kafka: slates, events and catalogue changes, whole, keyed and with the trace."""

import math
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest

from snowmelt.api.events.v1.events_pb2 import CatalogChange, Event, Impression, ItemUpsert
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.validation import check
from tests.gateway.house import House


class Tail:
    """What arrives on a topic from now on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "tail", "enable.auto.commit": False}
        )
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = []
        for number in partitions:
            place = confluent_kafka.TopicPartition(topic, number)
            _, place.offset = self._consumer.get_watermark_offsets(place, timeout=10)
            ends.append(place)
        self._consumer.assign(ends)

    def take(self, count: int) -> list[Any]:
        """The next so many records."""
        found: list[Any] = []
        ends = time.monotonic() + 20
        while len(found) < count:
            assert time.monotonic() < ends, f"{len(found)} of {count} records came"
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        return found

    def none_within(self, seconds: float) -> bool:
        """Whether nothing comes."""
        return self._consumer.poll(seconds) is None

    def close(self) -> None:
        """Ends it."""
        self._consumer.close()


@pytest.fixture
def tail(broker: str, request: pytest.FixtureRequest) -> Iterator[Tail]:
    found = Tail(broker, request.param)
    yield found
    found.close()


def _trace(record: Any) -> str:
    return dict(record.headers())["traceparent"].decode().split("-")[1]


@pytest.mark.parametrize("tail", [topics.IMPRESSIONS], indirect=True)
def test_each_slate_is_logged_as_it_was_answered(house: House, tail: Tail) -> None:
    with house.client() as client:
        answer = client.recommend("ida", k=3, surface="home")
    (record,) = tail.take(1)
    logged = Impression.FromString(record.value())
    check(logged)
    assert record.key() == b"default/ida"
    assert _trace(record) == answer.trace_id
    assert (logged.request_id, logged.user_id, logged.surface, logged.as_of_ms, logged.release_id, logged.rung) == (
        answer.request_id, "ida", "home", answer.as_of_ms, "r2", "full",
    )  # fmt: skip
    for shown, kept in zip(answer.items, logged.items, strict=True):
        assert (shown.item_id, shown.position, shown.score, shown.propensity, shown.reason) == (
            kept.item_id, kept.position, kept.ranker_score, kept.propensity, kept.reason,
        )  # fmt: skip
        assert list(shown.sources) == list(kept.sources)


@pytest.mark.parametrize("tail", [topics.IMPRESSIONS], indirect=True)
def test_a_degraded_slate_is_logged_with_its_rung_and_without_ranker_scores(house: House, tail: Tail) -> None:
    house.ranker.fails = Reason.UNAVAILABLE
    with house.client() as client:
        client.recommend(session_id="s9", k=2)
    (record,) = tail.take(1)
    logged = Impression.FromString(record.value())
    assert record.key() == b"default/\x1fs9"
    assert (logged.session_id, logged.user_id, logged.rung) == ("s9", "", "retrieval_order")
    assert not any(item.HasField("ranker_score") for item in logged.items)


@pytest.mark.parametrize("tail", [topics.EVENTS], indirect=True)
def test_events_are_completed_from_the_catalogue_and_acknowledged(house: House, tail: Tail) -> None:
    before = time.time_ns() // 1_000_000
    with house.client() as client:
        answer = client.record(
            [
                Event(user_id="eva", item_id="i1", type="click", value=2.0),
                Event(session_id="s", item_id="unknown-item", type="view", event_id="mine", event_time_ms=10**12),
            ]
        )
    assert answer.accepted == 2
    records = tail.take(2)
    by_key = {record.key(): Event.FromString(record.value()) for record in records}
    click, view = by_key[b"default/eva"], by_key[b"default/\x1fs"]
    for event in (click, view):
        check(event)
    assert (click.event_id, view.event_id) == (answer.event_ids[0], "mine") == tuple(answer.event_ids)
    assert (list(click.categories), click.price, click.tenant, click.value) == (["Comedy"], 3.0, "default", 2.0)
    assert before <= click.event_time_ms <= time.time_ns() // 1_000_000
    assert (list(view.categories), view.HasField("price"), view.event_time_ms) == ([], False, 10**12)
    assert {_trace(record) for record in records} == {answer.trace_id}
    assert all(abs(record.timestamp()[1] - before) < 10_000 for record in records)


@pytest.mark.parametrize("tail", [topics.EVENTS], indirect=True)
def test_of_events_with_one_bad_none_is_recorded(house: House, tail: Tail) -> None:
    good = Event(user_id="eva", item_id="i1", type="click")
    for bad in (
        Event(user_id="eva", item_id="i1", type="nope"),
        Event(user_id="eva", item_id="", type="click"),
        Event(user_id="eva", item_id="i1", type="click", value=math.nan),
        Event(user_id="eva", item_id="i1", type="click", tenant="other"),
        Event(item_id="i1", type="click"),
    ):
        with house.client() as client, pytest.raises(SnowmeltError) as caught:
            client.record([good, bad, good])
        assert all(v.field.startswith("events[1]") for v in caught.value.violations)
    assert tail.none_within(1.0)


@pytest.mark.parametrize("tail", [topics.CATALOG], indirect=True)
def test_catalogue_changes(house: House, tail: Tail) -> None:
    with house.client() as client:
        client.upsert_items([ItemUpsert(item_id="new", title="New", categories=["A"], price=1.5)])
        client.withdraw_items(["new"])
    records = tail.take(2)
    changes = [CatalogChange.FromString(record.value()) for record in records]
    for change in changes:
        check(change)
    assert {record.key() for record in records} == {b"default/new"}
    assert [change.WhichOneof("change") for change in changes] == ["upsert", "withdrawal"]
    assert (changes[0].upsert.tenant, changes[0].upsert.title) == ("default", "New")


@pytest.mark.parametrize("tail", [topics.CATALOG], indirect=True)
def test_a_withdrawal_holds_against_an_upsert_by_a_fast_clock(house: House, tail: Tail) -> None:
    now = time.time_ns() // 1_000_000
    with house.client() as client:
        client.upsert_items([ItemUpsert(item_id="fast", event_time_ms=now + 290_000)])
        client.upsert_items([ItemUpsert(item_id="fast", event_time_ms=now - 5)])
        client.withdraw_items(["fast"])
    fast, slow, withdrawal = [CatalogChange.FromString(record.value()) for record in tail.take(3)]
    assert now <= fast.upsert.event_time_ms <= withdrawal.withdrawal.event_time_ms
    assert slow.upsert.event_time_ms == now - 5
