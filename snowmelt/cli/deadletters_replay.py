"""Dead letters sent to their topics again, each with a header that says where it comes from, and marked."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import Lake
from snowmelt.lake.letters import Letter, Replay, chunks, mark_replayed, payloads
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.asking import require_listener
from snowmelt.runtime.kafka.producer import Delivery, Producer

ORIGIN = "snowmelt-replay-of"
"""The header of a record that was sent again: topic/partition/offset of the first."""
VALUE_HELP = "send this file in place of the bytes: a mended message"
KEY_HELP = "send with this key, tenant/entity, in place of the letter's"
_RECORD_BYTES = 4_194_304


@dataclass(frozen=True)
class Told:
    """How many were sent, how many cannot be, and how many were sent before."""

    replayed: int
    without_payload: int
    before: int


def replay_letters(lake: Lake, found: Sequence[Letter], *, again: bool, value: bytes | None, key: str | None) -> Told:
    """Sends letters and marks those that Kafka has taken; a crash in between leaves a letter sent and not marked.

    Raises:
        SnowmeltError: UNAVAILABLE; INVALID_FIELD where the only one asked for was sent before, or has no bytes.
    """
    fresh = [each for each in found if again or not each.replays]
    whole = [each for each in fresh if value is not None or each.has_payload]
    if len(found) == 1 and not fresh:
        at = found[0].replays[-1]
        detail = f"{found[0].name} was sent again at {at.sent_at.isoformat()}; --again sends it once more"
        raise SnowmeltError(Reason.INVALID_FIELD, detail)
    settings = Settings.load()
    clock = Clock(settings.clock_offset_ms)
    require_listener(settings.kafka_bootstrap)
    producer = Producer(settings.kafka_bootstrap, max_record_bytes=_RECORD_BYTES)
    try:
        for part in chunks(whole):
            bodies = payloads(lake, part) if value is None else dict.fromkeys((each.place for each in part), value)
            now_ms = clock.now_ms()
            pending: dict[Letter, Future[Delivery]] = {}
            for each in part:
                own = each.key if key is None else key.encode()
                headers = {ORIGIN: each.name.encode()}
                pending[each] = producer.submit(each.topic, own, bodies[each.place], now_ms, headers)
            _mark(lake, pending, datetime.fromtimestamp(now_ms / 1000, UTC))
    finally:
        producer.close()
    return Told(len(whole), len(fresh) - len(whole), len(found) - len(fresh))


def _mark(lake: Lake, pending: dict[Letter, Future[Delivery]], at: datetime) -> None:
    taken: dict[Letter, Replay] = {}
    failure: SnowmeltError | None = None
    for letter, future in pending.items():
        try:
            delivery = future.result()
        except SnowmeltError as error:
            failure = error
        else:
            taken[letter] = Replay(at, delivery.partition, delivery.offset)
    if taken:
        mark_replayed(lake, taken)
    if failure is not None:
        raise failure
