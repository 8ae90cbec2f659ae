"""Places that cannot be opened: no other waits for them, none for ever, and trouble ends with its place."""

import threading
from collections.abc import Sequence

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.admin import Watermarks
from snowmelt.runtime.kafka.consumer import Place
from tests.ingest.fakes import A, B, until
from tests.ingest.pipeline import Pipeline


def test_one_place_that_cannot_be_opened_keeps_no_other_shut() -> None:
    pipeline = Pipeline()
    pipeline.fill(A, 50)
    pipeline.fill(B, 50)
    ask, away = pipeline.log.marks, threading.Event()
    away.set()

    def marks(places: Sequence[Place]) -> dict[Place, Watermarks]:
        if A in places and away.is_set():
            raise SnowmeltError(Reason.UNAVAILABLE, "it has no leader")
        return ask(places)

    pipeline.intake._opening._marks = marks
    with pipeline.running():
        until(lambda: pipeline.whole(B))
        assert "it has no leader" in pipeline.intake.reasons()
        assert A not in pipeline.log.at
        away.clear()
        until(lambda: pipeline.whole(A) and not pipeline.intake.reasons())


def test_a_place_that_failed_once_is_opened_however_often_others_begin_again_meanwhile() -> None:
    pipeline = Pipeline()
    ask, asked = pipeline.log.marks, list[Sequence[Place]]()
    opening = pipeline.intake._opening

    def marks(places: Sequence[Place]) -> dict[Place, Watermarks]:
        asked.append(places)
        opening.want([B])  # before this attempt is over: some place waits at any time
        if len(asked) == 1:
            raise SnowmeltError(Reason.UNAVAILABLE, "it did not answer in time")
        return ask(places)

    opening._marks = marks
    opening.want([A, B])
    opening.start()
    until(lambda: [A] in asked)
    until(lambda: not opening.trouble)
    opening.tell()
    assert opening.end(5)
    assert opening.busy


def test_what_a_place_had_is_forgotten_where_it_goes_to_another_process() -> None:
    pipeline = Pipeline()
    opening = pipeline.intake._opening

    def marks(places: Sequence[Place]) -> dict[Place, Watermarks]:
        raise SnowmeltError(Reason.UNAVAILABLE, "it has no leader")

    opening._marks = marks
    opening.want([A])
    opening.start()
    until(lambda: opening.trouble)
    opening.drop([A])
    until(lambda: not opening.trouble)
    opening.tell()
    assert opening.end(5)
    assert not opening.trouble
