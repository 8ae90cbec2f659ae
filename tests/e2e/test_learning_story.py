"""The learning story: a click changes the order, new users and new items are served, a dead part costs no answer."""

import os
import signal
import time

import pytest

from snowmelt.api.events.v1.events_pb2 import Event, ItemUpsert
from snowmelt.client import Client
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PATIENT_MS = 5000
"""A budget that a busy machine keeps: the story is about answers, not about their speed."""


def order(client: Client, user: str, k: int = 100) -> list[str]:
    """The items of a whole answer: a degraded one has another order for another reason, and is asked for again."""
    answer = client.recommend(user, k=k, timeout_ms=PATIENT_MS)
    deadline = time.monotonic() + 10
    while answer.degraded:
        assert time.monotonic() < deadline, f"degraded for ten seconds: {answer.degraded}"
        answer = client.recommend(user, k=k, timeout_ms=PATIENT_MS)
    return [item.item_id for item in answer.items]


def displacement(one: list[str], other: list[str]) -> float:
    """How many places an item of both orders stands apart on average (Spearman's footrule): 0 where they agree."""
    both = set(one) & set(other)
    left, right = ([i for i in order if i in both] for order in (one, other))
    return sum(abs(place - right.index(item)) for place, item in enumerate(left)) / max(len(left), 1)


def now_ms(client: Client) -> int:
    return client.recommend("anyone", k=1).as_of_ms


def test_a_click_is_learned_within_two_seconds(system: System) -> None:
    with system.client() as client:
        clicker, control = "story-clicker", "story-control"
        before, before_control = order(client, clicker), order(client, control)
        clicked = before[3]
        # Every slate adds impressions to its items, so two users never differ by nothing at all.
        noise = displacement(before, before_control)
        client.record([Event(user_id=clicker, item_id=clicked, type="click", event_time_ms=now_ms(client))])

        def learned() -> bool:
            after, after_control = order(client, clicker), order(client, control)
            assert clicked in after_control
            return clicked not in after and displacement(after, after_control) > 2 * noise + 1

        eventually(learned, 2.0, "neither is the clicked item gone nor are the others in another order")


def test_a_new_user_is_answered_and_flagged(system: System) -> None:
    with system.client() as client:
        answer = client.recommend("never-seen-before", k=10, timeout_ms=PATIENT_MS)
        assert answer.cold_start
        assert len(answer.items) == 10
        assert not answer.degraded
        assert all(item.sources and item.reason for item in answer.items)


def test_a_new_item_is_retrieved_within_five_seconds(system: System) -> None:
    with system.client() as client:
        seed = client.recommend("newcomer", k=1).items[0]
        item = ItemUpsert(item_id="brand-new", title=seed.title, event_time_ms=now_ms(client))
        client.upsert_items([item])
        eventually(lambda: "brand-new" in order(client, "newcomer"), 5.0, "the new item is not recommended")
        client.withdraw_items(["brand-new"])
        eventually(lambda: "brand-new" not in order(client, "newcomer"), 5.0, "the withdrawn item is recommended")


@pytest.mark.parametrize("service", ["ranker", "retrieval"])
def test_a_dead_service_costs_no_answer(system: System, service: str) -> None:
    with system.client() as client:
        os.kill(system.pid(f"services.{service}"), signal.SIGKILL)
        degraded = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = client.recommend("patient", k=5)
            assert len(answer.items) == 5
            degraded.append(list(answer.degraded))
            if degraded[-1] == [] and [service] in degraded:
                break
            time.sleep(0.02)
        assert [service] in degraded
        assert degraded[-1] == [], f"{service} did not come back"
        assert f"{service} ended by signal 9; it starts again" in system.log.read_text()


def test_every_record_is_accounted_for(system: System) -> None:
    flows: list[dict[str, object]] = []

    def settled() -> bool:
        # A look while records are on their way counts them on one side only.
        said = system.verb("status", "--json")
        assert said["ready"], said["reasons"]
        flows[:] = said["flows"]  # type: ignore[call-overload]
        return all(f["balanced"] and f["behind_events"] == 0 for f in flows)

    eventually(settled, 20.0, f"not accounted for: {flows}")
    taken = {(f["topic"], f["lane"]): f["taken"] for f in flows}
    assert taken["snowmelt.events", "lake"] == taken["snowmelt.events", "features"] != 0
    assert taken["snowmelt.catalog", "lake"] == taken["snowmelt.catalog", "features"] != 0
    assert all(f["dead_lettered"] == 0 for f in flows)
