"""Traffic of a drill: records of which some come twice and some are invalid, and what Kafka acknowledged of them."""

import random
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import numpy as np

from snowmelt.chaos.bad_records import NOW_MS, good
from snowmelt.chaos.places import I64, place
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS, LAKE_TOPICS
from snowmelt.runtime.kafka.producer import Delivery, Producer

FIRST, AGAIN, INVALID = range(3)
_WEIGHTS = (95, 3, 2)
"""Of a hundred records."""
_WITH_IDS = (EVENTS, IMPRESSIONS)
"""The topics whose records are known again; in the others each is a row."""
_BLOCK = 5_000
"""Records on their way at once."""


class Acknowledged:
    """What the producer was told, as columns by topic: place, number and kind of each record."""

    def __init__(self) -> None:
        self._columns = {topic: (array("q"), array("q"), array("b")) for topic in LAKE_TOPICS}
        self._lock = threading.Lock()

    def note(self, kind: int, number: int, told: Delivery) -> None:
        """Writes one acknowledgement down; called from the threads that serve deliveries."""
        where = place(told.topic, told.partition, told.offset)
        with self._lock:
            for column, value in zip(self._columns[told.topic], (where, number, kind), strict=True):
                column.append(value)

    def __len__(self) -> int:
        return sum(len(column) for column, _, _ in self._columns.values())

    def of(self, topic: str, kind: int) -> tuple[I64, I64]:
        """Places, rising, and numbers of the records of a kind: int64[n] each."""
        with self._lock:
            where, numbers, kinds = (np.array(column, np.int64) for column in self._columns[topic])
        mine = np.flatnonzero(kinds == kind)
        mine = mine[np.argsort(where[mine])]
        return where[mine], numbers[mine]

    @property
    def first(self) -> I64:
        """The places of valid records that had not come before."""
        return self._all(FIRST)

    @property
    def duplicates(self) -> I64:
        """The places of those that had."""
        return self._all(AGAIN)

    @property
    def invalid(self) -> I64:
        """The places of those that are to be dead letters."""
        return self._all(INVALID)

    def _all(self, kind: int) -> I64:
        return np.concatenate([self.of(topic, kind)[0] for topic in LAKE_TOPICS])


class Traffic:
    """Sends records and keeps what Kafka acknowledged.

    Args:
        bootstrap: Kafka's addresses.
        seed: the same one sends the same records.
        shares: by topic how many of all records are its own; by default all are events.
        patience_s: how long a record may wait for its acknowledgement.
    """

    def __init__(
        self, bootstrap: str, seed: int, shares: Mapping[str, int] | None = None, *, patience_s: float = 30.0
    ) -> None:
        self._producer = Producer(bootstrap, linger_ms=5, delivery_timeout_ms=int(patience_s * 1000))
        self._patience_s = patience_s
        self._random = random.Random(seed)  # noqa: S311 - a drill that can be repeated
        self._lock = threading.Lock()
        self._shares = dict(shares or {EVENTS: 1})
        self._numbers: Counter[str] = Counter()
        self._failures: list[BaseException] = []
        self.sent = 0
        self.acknowledged = Acknowledged()

    def send(self, count: int) -> None:
        """Sends ``count`` records and waits for their acknowledgements.

        Raises:
            SnowmeltError: UNAVAILABLE where one was not acknowledged.
        """
        with self._lock:
            while count > 0:
                self._send_block(min(count, _BLOCK))
                count -= _BLOCK

    def post(self, count: int) -> None:
        """Sends ``count`` records and waits for nothing; none while many still wait for their acknowledgements."""
        with self._lock:
            self._raise_failure()
            if len(self._producer) < _BLOCK:
                self._submit_all(count)

    def settle(self) -> None:
        """Waits for all acknowledgements; raises as ``send`` does."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Ends the producer."""
        self._producer.close()

    def _send_block(self, count: int) -> None:
        self._submit_all(count)
        self._flush()

    def _flush(self) -> None:
        self._producer.flush(self._patience_s)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _submit_all(self, count: int) -> None:
        topics = self._random.choices(tuple(self._shares), tuple(self._shares.values()), k=count)
        for topic, kind in zip(topics, self._random.choices((FIRST, AGAIN, INVALID), _WEIGHTS, k=count), strict=True):
            self._submit(topic, kind)

    def _submit(self, topic: str, kind: int) -> None:
        number = self._numbers[topic]
        if kind == AGAIN and (topic not in _WITH_IDS or not number):
            kind = FIRST
        if kind == AGAIN:
            number = self._random.randrange(number)
        record = good(topic, number)
        value = b"\xff" + (record.value or b"") if kind == INVALID else record.value
        self._numbers[topic] += kind == FIRST
        self.sent += 1
        future = self._producer.submit(topic, record.key, value, NOW_MS + self.sent)
        future.add_done_callback(self._noting(kind, number))

    def _noting(self, kind: int, number: int) -> Callable[[Future[Delivery]], None]:
        def noted(future: Future[Delivery]) -> None:
            if (failure := future.exception()) is not None:
                self._failures.append(failure)
            else:
                self.acknowledged.note(kind, number, future.result())

        return noted
