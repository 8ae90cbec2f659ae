"""A lane's pipeline over a log and a sink in memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from services.ingest.buffer import Buffer
from services.ingest.intake import Intake
from services.ingest.lane import Lane
from snowmelt.runtime.kafka.consumer import Place
from tests.ingest.fakes import INCARNATIONS, A, B, Log, Memory, NoHistory, event

Gaps = dict[Place, tuple[int, int]]


class Pipeline:
    """Reads A and B into ``sink``; what they hold is put into ``log``."""

    def __init__(
        self, limit_bytes: int = 1 << 20, accepted: Gaps | None = None, topics: dict[str, str] | None = None
    ) -> None:
        self.log, self.sink = Log(A, B), Memory()
        self.lane = Lane("features", self.sink, NoHistory(), INCARNATIONS)
        self.intake = Intake(
            self.log, self.log.marks, self.lane, Buffer(limit_bytes), accepted_gaps=accepted or {},
            accepted_topics=topics, poll_s=0.005, flush_rows=100,
        )  # fmt: skip

    def fill(self, place: Place, count: int) -> None:
        values = self.log.values[place]
        values += [event(place[1] * 1_000_000 + len(values) + n) for n in range(count)]

    def whole(self, *places: Place) -> bool:
        """Whether the sink holds everything of these places once and in order."""
        return all(
            self.sink.ids[place] == [f"e{place[1] * 1_000_000 + n}" for n in range(len(self.log.values[place]))]
            for place in places
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        self.intake.given([A, B])
        stop = threading.Event()
        thread = threading.Thread(target=self.intake.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            self.sink.open.set()
            stop.set()
            thread.join(20)
            assert not thread.is_alive()
