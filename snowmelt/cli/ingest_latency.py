"""The time from an event to its state in Redis, where events are sent when they are due, whatever became of others."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.producer import Delivery

PATIENCE_S = 60.0
LOOK_S = 0.002
Submit = Callable[[int], "Future[Delivery]"]
"""Sends an event, by its number, and returns at once."""
Fences = Callable[[set[int]], Mapping[int, Sequence[int | None]]]
"""Each bucket's next offset of each of some partitions; None where nothing of it was applied."""


def latencies_ms(
    rate: int,
    count: int,
    submit: Submit,
    buckets_of: Callable[[int], Sequence[int]],
    fences: Fences,
    *,
    patience_s: float = PATIENCE_S,
) -> list[tuple[float, float]]:
    """When each event was due, in seconds after the first, and how many milliseconds later its state was seen.

    An event is due at its place in an even row of ``rate`` a second, and counted from then, not from when it was sent:
    what a pause of the sender, of Kafka, the lane or Redis makes late is late here too. A thread of its own sends, so
    that events go on while an answer of Redis is waited for. State is seen when the fences of all buckets of the event
    lie behind it in an answer of Redis, whose arrival ends the time.

    Raises:
        SnowmeltError: UNAVAILABLE where Kafka does not take an event, Redis does not answer, or an event is not online
            ``patience_s`` after the last was due.
    """
    acknowledged: SimpleQueue[tuple[int, float, Future[Delivery]]] = SimpleQueue()
    stop, began = threading.Event(), time.perf_counter()

    def send() -> None:
        for number in range(count):
            due_s = number / rate
            if stop.wait(max(0.0, began + due_s - time.perf_counter())):
                return
            submit(number).add_done_callback(
                lambda done, number=number, due_s=due_s: acknowledged.put((number, due_s, done))  # type: ignore[misc]
            )

    sender = threading.Thread(target=send, name="bench-sender", daemon=True)
    sender.start()
    waiting: dict[tuple[int, int], tuple[float, Sequence[int]]] = {}
    took: list[tuple[float, float]] = []
    try:
        while len(took) < count:
            while not acknowledged.empty():
                number, due_s, done = acknowledged.get()
                delivery = done.result()
                waiting[delivery.partition, delivery.offset] = due_s, buckets_of(number)
            known = fences({partition for partition, _ in waiting})
            seen_s = time.perf_counter() - began
            for place in [p for p, (_, buckets) in waiting.items() if _behind(known[p[0]], buckets, p[1])]:
                due_s, _ = waiting.pop(place)
                took.append((due_s, (seen_s - due_s) * 1000))
            if seen_s > count / rate + patience_s:
                late = (
                    f"{count - len(took)} of {count} events were not online {patience_s:.0f} s after the last was due"
                )
                raise SnowmeltError(Reason.UNAVAILABLE, late)
            time.sleep(LOOK_S)
    finally:
        stop.set()
        sender.join()
    return took


def _behind(fences: Sequence[int | None], buckets: Sequence[int], offset: int) -> bool:
    return all((fences[bucket] or 0) > offset for bucket in buckets)
