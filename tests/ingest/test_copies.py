"""The topic of dead letters holds every letter of the table, also after crashes and while Kafka is away."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from services.ingest.copies import VALUE_BYTES, Copies
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import CATALOG, EVENTS
from snowmelt.lake import DEAD_LETTERS, TABLES, Lake, Range
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.kafka.producer import Headers
from tests.ingest.fakes import INCARNATIONS, NOW, A, B

OTHER = (CATALOG, 0)


class Topic:
    """What Kafka has acknowledged; ``down`` posts get no acknowledgement."""

    def __init__(self) -> None:
        self.queue: list[tuple[str, bytes | None, Headers]] = []
        self.taken: list[tuple[str, bytes | None, Headers]] = []
        self.down = False

    def post(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers | None = None
    ) -> None:
        assert (topic, timestamp_ms) == (topics.DEAD_LETTERS, NOW)
        assert key is not None
        assert headers is not None
        self.queue.append((key.decode(), value, headers))

    def flush(self, timeout_s: float = 30.0) -> None:
        queue, self.queue = self.queue, []
        if self.down:
            raise SnowmeltError(Reason.UNAVAILABLE, "Kafka is away")
        self.taken += queue

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.taken]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made


def bury(lake: Lake, place: Place, start: int, end: int, offsets: Sequence[int], payload: bytes | None = b"x") -> None:
    row = {"topic": place[0], "reason": "undecodable", "detail": "why", "key": b"k", "payload": payload,
           "payload_bytes": None if payload is None else len(payload), "incarnation": "one",
           "partition": place[1], "record_time": NOW * 1000}  # fmt: skip
    rows = pa.Table.from_pylist([row | {"offset": offset} for offset in offsets], schema=TABLES[DEAD_LETTERS])
    lake.append(DEAD_LETTERS, rows, [Range("one", *place, start, end)])


def copies(lake: Lake, topic: Topic, *places: Place) -> Copies:
    return Copies(Lake(lake.url), topic, INCARNATIONS, lambda: places)


def test_each_letter_is_copied_once_in_order_and_others_letters_are_left_to_others(lake: Lake) -> None:
    topic = Topic()
    mine = copies(lake, topic, A, B, OTHER)
    assert mine.step() == 0
    bury(lake, A, 0, 9, [1, 2, 8])
    bury(lake, OTHER, 0, 2, [1])
    bury(lake, (topics.USERS, 0), 0, 2, [0])
    assert mine.step() == 4
    assert mine.step() == mine.step() == 0
    bury(lake, A, 9, 20, [9])
    bury(lake, B, 0, 5, [4])
    assert mine.step() == 2
    names = [f"{EVENTS}/0/{offset}" for offset in (1, 2, 8)]
    assert topic.names == [f"{CATALOG}/0/1", *names, f"{EVENTS}/0/9", f"{EVENTS}/1/4"]
    assert copies(lake, topic, topics_users := (topics.USERS, 0)).step() == 1
    assert topic.names[-1] == f"{topics_users[0]}/0/0"


def test_a_restart_goes_on_where_the_copy_ended(lake: Lake) -> None:
    topic = Topic()
    bury(lake, A, 0, 3, [0, 1, 2])
    assert copies(lake, topic, A).step() == 3
    assert copies(lake, topic, A).step() == 0
    bury(lake, A, 3, 5, [3])
    assert copies(lake, topic, A).step() == 1
    assert len(topic.taken) == 4


def test_a_crash_between_copy_and_marker_copies_again_and_loses_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic()
    bury(lake, A, 0, 3, [0, 2])

    def killed(*_: object) -> None:
        raise SnowmeltError(Reason.UNAVAILABLE, "killed")

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "mark", killed)
        with pytest.raises(SnowmeltError):
            copies(lake, topic, A).step()
    assert copies(lake, topic, A).step() == 2
    assert topic.names == [f"{EVENTS}/0/0", f"{EVENTS}/0/2"] * 2


def test_nothing_is_marked_that_kafka_did_not_take(lake: Lake) -> None:
    topic = Topic()
    mine = copies(lake, topic, A)
    bury(lake, A, 0, 3, [1])
    topic.down = True
    with pytest.raises(SnowmeltError):
        mine.step()
    topic.down = False
    assert mine.step() == 1
    assert topic.names == [f"{EVENTS}/0/1"]


def test_a_copy_holds_the_bytes_unless_they_are_too_many_and_says_the_rest_in_headers(lake: Lake) -> None:
    topic = Topic()
    bury(lake, A, 0, 1, [0], b"\xff\x00")
    bury(lake, A, 1, 2, [1], b"x" * (VALUE_BYTES + 1))
    bury(lake, A, 2, 3, [2], None)
    assert copies(lake, topic, A).step() == 3
    assert [value for _, value, _ in topic.taken] == [b"\xff\x00", None, None]
    headers = topic.taken[0][2]
    assert (headers["reason"], headers["detail"], headers["bytes"]) == (b"undecodable", b"why", b"2")
    assert (headers["topic"], headers["offset"], headers["key"]) == (EVENTS.encode(), b"0", b"k")
    assert "bytes" not in topic.taken[2][2]
