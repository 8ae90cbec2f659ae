"""A topic made anew stops by name, before a lane starts and while it reads; the embedded broker's never does."""

from collections.abc import Callable

import pytest

from snowmelt.runtime.kafka.identity import RemadeError
from tests.ingest.fakes import A, B, until
from tests.ingest.pipeline import Pipeline


class OtherTopic:
    """An identity that says from some time on that the topic is another."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.found: str | None = None

    def ask(self, topic: str) -> Callable[[], None]:
        def confirm() -> None:
            if topic == self.topic and self.found is not None:
                raise RemadeError(topic, self.found)

        return confirm


def test_a_topic_made_anew_while_it_is_read_stops_and_nothing_of_the_new_one_is_taken() -> None:
    pipeline = Pipeline()
    identity = OtherTopic(A[0])
    pipeline.lane.identity = identity
    pipeline.fill(A, 20)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
        identity.found = "two"
        pipeline.fill(A, 10)
        until(lambda: set(pipeline.intake.stopped) == {A, B})
    assert "made anew" in pipeline.intake.stopped[A]
    assert "[20, 30)" in pipeline.intake.stopped[A]
    assert f"SNOWMELT_INGEST_ACCEPT_TOPICS={A[0]}:two" in pipeline.intake.stopped[A]
    assert pipeline.sink.ends == {A: 20}
    assert pipeline.log.at == {}


@pytest.mark.parametrize("accepted", [{}, {A[0]: "another"}, {A[0]: "one"}])
def test_a_topic_made_anew_before_the_start_begins_only_where_that_was_accepted(accepted: dict[str, str]) -> None:
    pipeline = Pipeline(topics=accepted)
    pipeline.lane.identity = OtherTopic(A[0])
    pipeline.sink.before = {A: ("zero", 77)}
    pipeline.fill(A, 5)
    pipeline.fill(B, 5)
    with pipeline.running():
        until(lambda: pipeline.whole(B) and (A in pipeline.intake.stopped or pipeline.whole(A)))
    begun = accepted.get(A[0]) == "one"
    assert (A in pipeline.intake.stopped) is not begun
    assert begun or "its records from 77 on are lost" in pipeline.intake.stopped[A]


def test_the_embedded_brokers_topics_are_new_at_each_start_and_begin() -> None:
    pipeline = Pipeline()
    pipeline.sink.before = {A: ("zero", 77)}
    pipeline.fill(A, 5)
    with pipeline.running():
        until(lambda: pipeline.whole(A))
    assert pipeline.intake.stopped == {}
