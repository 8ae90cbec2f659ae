"""A topic is another only where the brokers say so for long, or name another id."""

from collections.abc import Callable, Sequence

import pytest

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka import identity as module
from snowmelt.runtime.kafka.identity import Identity, RemadeError


class Brokers:
    """Answers with ``found``; None: they do not know the topic."""

    found: str | None = "one"

    def ask_incarnations(self, names: Sequence[str]) -> dict[str, Callable[[], str | None]]:
        return {name: lambda: self.found for name in names}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_same_id_is_the_same_topic_and_another_is_another() -> None:
    brokers = Brokers()
    identity = Identity(brokers, {"t": "one"})  # type: ignore[arg-type]
    identity.ask("t")()
    brokers.found = "two"
    with pytest.raises(RemadeError) as raised:
        identity.ask("t")()
    assert (raised.value.topic, raised.value.found) == ("t", "two")


def test_a_topic_is_gone_where_nobody_knows_it_for_long(clock: list[float]) -> None:
    brokers = Brokers()
    brokers.found = None
    identity = Identity(brokers, {"t": "one"})  # type: ignore[arg-type]
    for _ in range(11):
        with pytest.raises(SnowmeltError, match="do not know topic t now"):
            identity.ask("t")()
        clock[0] += 1.0
    with pytest.raises(RemadeError) as raised:
        identity.ask("t")()
    assert raised.value.found == ""


def test_two_answers_far_apart_say_nothing_of_the_time_between(clock: list[float]) -> None:
    brokers = Brokers()
    brokers.found = None
    identity = Identity(brokers, {"t": "one"})  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(SnowmeltError):
            identity.ask("t")()
        clock[0] += 60.0
