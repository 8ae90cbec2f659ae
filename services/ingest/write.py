"""One batch on its way into the sink, and what surrounds it."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass

from services.ingest.ports import Outcome
from services.ingest.traces import Traces
from snowmelt.runtime.kafka.consumer import Place


@dataclass
class Write:
    """A batch on its way into the sink; ``future`` is None where it must be sent again.

    Attributes:
        ends: the offset after the last record of each place.
        work: writes it; may be called again where it has failed.
        oldest_ms: the Kafka time of its first record.
    """

    topic: str
    ends: dict[Place, int]
    outcomes: Mapping[Place, Outcome]
    work: Callable[[], None]
    oldest_ms: int
    future: Future[None] | None = None


def confirmed() -> None:
    """Where a topic's identity is not in doubt."""


def traced(
    confirm: Callable[[], None], work: Callable[[], None], traces: Traces, opened: ExitStack
) -> Callable[[], None]:
    """``work`` once the topic's identity is confirmed, as a span of the traces that ``opened`` ends."""

    def write() -> None:
        confirm()
        with traces.writing():
            work()
        opened.close()

    return write
