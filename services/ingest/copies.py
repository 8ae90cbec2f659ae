"""The topic of dead letters: a copy of the table, made behind the commit by the lane that reads the partition.

Promised: every letter of the table comes into the topic at least once, those of one partition in its order, under the
key ``topic/partition/offset``. After a crash, or where two processes read a partition for a moment, some come again.
The marker of what was copied is kept in the table's own log; the lane never waits for the copy. The table is the truth.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from snowmelt.contracts import topics
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.lake import DEAD_LETTERS, Lake
from snowmelt.lake.lake import Partition
from snowmelt.lake.letters import Letter, chunks, heads, payloads
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.kafka.producer import Headers

_LOG = logging.getLogger(__name__)

EVERY_S = 2.0
VALUE_BYTES = 1_000_000
"""Of a copy's value: with its headers it fits into what a topic takes by Kafka's default; larger ones are left out."""
KEY_BYTES = 1024
"""Of the record's key that a header repeats."""


class Poster(Protocol):
    """The producer, as far as it is needed."""

    def post(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int, headers: Headers | None = None
    ) -> None:
        """Queues one record. Raises SnowmeltError UNAVAILABLE."""

    def flush(self, timeout_s: float = 30.0) -> None:
        """Waits until all are acknowledged. Raises SnowmeltError UNAVAILABLE."""


class Copies:
    """Copies the letters of the places that this process reads."""

    def __init__(
        self, lake: Lake, producer: Poster, incarnations: Mapping[str, str], places: Callable[[], Iterable[Place]]
    ) -> None:
        self._lake = lake
        self._producer = producer
        self._incarnations = incarnations
        self._places = places
        self._seen: tuple[int, list[Partition]] | None = None

    def follow(self, stop: threading.Event) -> None:
        """Copies until ``stop``; what fails is tried again."""
        trouble = ""
        while not stop.wait(EVERY_S):
            try:
                self.step()
            except SnowmeltError as error:
                if trouble != error.detail:
                    _LOG.warning("dead letters are not copied to %s: %s", topics.DEAD_LETTERS, error.detail)
                trouble = error.detail
            else:
                trouble = ""

    def step(self) -> int:
        """Copies what is new; returns how many letters that were.

        Raises:
            SnowmeltError: UNAVAILABLE; what was not marked is copied again.
        """
        mine = sorted((self._incarnations[topic], topic, partition) for topic, partition in self._places())
        version = self._lake.version(DEAD_LETTERS)
        if self._seen == (version, mine):
            return 0
        copied = self._lake.marks(DEAD_LETTERS, "copied", mine)
        ends = {key: done.next_offset for key, done in self._lake.progress(DEAD_LETTERS, mine).items()}
        behind = {key: copied[key] for key, end in ends.items() if copied[key] < end}
        count = self._copy(heads(self._lake, behind)) if behind else 0
        self._seen = (version, mine)
        return count

    def _copy(self, letters: list[Letter]) -> int:
        for part in chunks(letters):
            bodies = payloads(self._lake, part)
            for each in part:
                body = bodies[each.place]
                value = body if body is not None and len(body) <= VALUE_BYTES else None
                time_ms = int(each.record_time.timestamp() * 1000)
                self._producer.post(topics.DEAD_LETTERS, each.name.encode(), value, time_ms, _headers(each))
            self._producer.flush()
            marks = {each.place[:3]: each.offset + 1 for each in part}
            self._lake.mark(DEAD_LETTERS, "copied", marks)
        return len(letters)


def _headers(letter: Letter) -> dict[str, bytes]:
    told = {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "incarnation": letter.incarnation,
    }
    if letter.payload_bytes is not None:
        told |= {"bytes": str(letter.payload_bytes), "sha256": letter.payload_sha256 or ""}
    found = {name: value.encode() for name, value in told.items()}
    return found if letter.key is None else found | {"key": letter.key[:KEY_BYTES]}
