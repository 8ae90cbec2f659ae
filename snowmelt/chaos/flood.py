"""Events at a rate, faster than one by one: each is put together of bytes that were encoded before."""

import time

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import DEFAULT_TENANT, record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.producer import Producer

USERS, ITEMS = 20_000, 5_000
TICK_S = 0.02
HOT_USER = 0


class Flood:
    """Sends events with ids that never come again; ``sent`` says how many by now."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(bootstrap, linger_ms=10, delivery_timeout_ms=300_000)
        self._tails = [_tail(user) for user in range(USERS)]
        self._keys = [record_key(DEFAULT_TENANT, f"u{user}") for user in range(USERS)]
        self.sent = 0

    def send(self, count: int, *, hot: bool = False) -> None:
        """Queues events; with ``hot`` every other one is of the same user."""
        now_ms = Clock(0).now_ms()
        for number in range(self.sent, self.sent + count):
            user = HOT_USER if hot and number % 2 else number * 7919 % USERS
            value = b"\n\x14%020d" % number + self._tails[user]
            self._producer.post(EVENTS, self._keys[user], value, now_ms)
        self.sent += count

    def run(self, rate: float, seconds: float, *, hot: bool = False) -> float:
        """Sends at a rate for some seconds; returns the rate that came of it."""
        began, first = time.monotonic(), self.sent
        while (passed := time.monotonic() - began) < seconds:
            self.send(max(0, int(passed * rate) - (self.sent - first)), hot=hot)
            time.sleep(TICK_S)
        self.flush()
        return (self.sent - first) / (time.monotonic() - began)

    def flush(self) -> None:
        """Waits until everything is acknowledged."""
        self._producer.flush(300)

    def close(self) -> None:
        """Ends the producer."""
        self._producer.close(60)


def _tail(user: int) -> bytes:
    item = user * 31 % ITEMS
    return events_pb2.Event(
        tenant=DEFAULT_TENANT,
        user_id=f"u{user}",
        item_id=f"i{item}",
        type=("view", "click", "purchase")[user % 3],
        event_time_ms=Clock(0).now_ms(),
        categories=[f"c{item % 50}"],
        price=item % 90 + 0.99,
        surface="home",
    ).SerializeToString()
