"""Traffic of a drill: events of which some come twice and some are invalid, and what Kafka acknowledged of them."""

import random
import threading
from dataclasses import dataclass, field

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

NOW_MS = 1_714_521_600_000


@dataclass
class Acknowledged:
    """What the producer was told: by (partition, offset) the event id of each valid record, and what is none."""

    first: dict[tuple[int, int], str] = field(default_factory=dict)
    duplicates: set[tuple[int, int]] = field(default_factory=set)
    invalid: set[tuple[int, int]] = field(default_factory=set)


class Traffic:
    """Sends events of which some come twice and some are invalid, and keeps what Kafka acknowledged."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._producer = Producer(bootstrap, linger_ms=5)
        self._random = random.Random(seed)  # noqa: S311 - a drill that can be repeated
        self._lock = threading.Lock()
        self._sent = 0
        self.acknowledged = Acknowledged()

    def send(self, count: int) -> None:
        """Sends ``count`` records and waits for their acknowledgements."""
        with self._lock:
            pending = []
            for _ in range(count):
                kind = self._random.choices(("new", "again", "bad"), (95, 3, 2))[0]
                number = self._random.randrange(self._sent) if kind == "again" and self._sent else self._sent
                self._sent += kind == "new"
                key, value = _event(number)
                value = b"\xff" + value if kind == "bad" else value
                pending.append((kind, number, self._producer.submit(EVENTS, key, value, NOW_MS + self._sent)))
            for kind, number, future in pending:
                place = (future.result(30).partition, future.result().offset)
                self._note(kind, number, place)

    def _note(self, kind: str, number: int, place: tuple[int, int]) -> None:
        if kind == "bad":
            self.acknowledged.invalid.add(place)
        elif kind == "again":
            self.acknowledged.duplicates.add(place)
        else:
            self.acknowledged.first[place] = f"e{number}"

    def close(self) -> None:
        """Ends the producer."""
        self._producer.close()


def _event(number: int) -> tuple[bytes, bytes]:
    user = f"u{number % 211}"
    event = events_pb2.Event(
        event_id=f"e{number}",
        tenant="default",
        user_id=user,
        item_id=f"i{number * 7919 % 97}",
        type=("view", "click", "purchase")[number % 3],
        event_time_ms=NOW_MS - (number * 104_729) % 600_000,
        categories=[f"c{number % 5}"],
        price=number % 50 + 0.25,
    )
    return record_key("default", user), event.SerializeToString()
