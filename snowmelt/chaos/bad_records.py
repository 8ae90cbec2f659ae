"""Records of every topic, good ones and all kinds of bad ones, each with the reasons for which it may be refused."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSIONS, LAKE_TOPICS, USERS

NOW_MS = 1_714_521_600_000
SHARES = {EVENTS: 85, IMPRESSIONS: 7, CATALOG: 4, USERS: 4}
"""Of a hundred records."""
BIG_BYTES = 1_048_576
MAX_BYTES = 4 * BIG_BYTES
"""What the topics take in the drill."""


@dataclass(frozen=True)
class Sent:
    """A record as it is sent; ``reasons`` is empty for a good one."""

    topic: str
    key: bytes | None
    value: bytes | None
    time_ms: int
    headers: dict[str, bytes] = field(default_factory=dict)
    reasons: frozenset[str] = frozenset()


def message(topic: str, number: int) -> Any:
    """A good message: its id is made of the number, its entity is one of few hundreds."""
    user, item, time_ms = f"u{number % 997}", f"i{number * 7919 % 499}", NOW_MS - number * 104_729 % 600_000
    if topic == EVENTS:
        return pb.Event(
            event_id=f"e{number}", tenant="default", user_id=user, item_id=item, event_time_ms=time_ms,
            type=("view", "click", "purchase")[number % 3], categories=[f"c{number % 5}"], price=number % 50 + 0.25,
        )  # fmt: skip
    if topic == IMPRESSIONS:
        shown = [pb.ImpressionItem(item_id=f"i{(number + k) % 499}", position=k, propensity=1) for k in range(3)]
        return pb.Impression(
            request_id=f"r{number}", tenant="default", user_id=user, as_of_ms=time_ms, items=shown, surface="home"
        )
    if topic == USERS:
        return pb.UserUpsert(tenant="default", user_id=user, attributes={"n": f"{number}"}, event_time_ms=time_ms)
    content = pb.ItemUpsert(
        tenant="default", item_id=item, title=f"t{number}", price=number % 90, event_time_ms=time_ms
    )
    return pb.CatalogChange(upsert=content)


def good(topic: str, number: int) -> Sent:
    """A record that is to be stored."""
    made = message(topic, number)
    return Sent(topic, _key(topic, made), made.SerializeToString(), NOW_MS + number)


def bad(topic: str, number: int, chance: random.Random) -> Sent:
    """A record that is to be refused, of a kind that the topic can have."""
    kind = chance.choices(_KINDS, _WEIGHTS)[0]
    return kind(good(topic, number), message(topic, number), chance)


def _body(topic: str, made: Any) -> Any:
    return made.upsert if topic == CATALOG else made


def _key(topic: str, made: Any) -> bytes:
    body = _body(topic, made)
    return record_key(body.tenant, body.item_id if topic == CATALOG else body.user_id)


def _refused(sent: Sent, *reasons: str, **changed: Any) -> Sent:
    return replace(sent, reasons=frozenset(reasons), **changed)


def _tombstone(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    return _refused(sent, "tombstone", value=None)


def _bytes(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    """Bytes that are no message: none at all, cut off, another format, text that is no UTF-8."""
    whole = sent.value or b""
    number = {EVENTS: 5, IMPRESSIONS: 1, USERS: 2, CATALOG: 1}[sent.topic]
    not_text = bytes([number << 3 | 2, 2, 0xFF, 0xFE])
    spoiled = (b"", whole[:-1], b"\x00" + whole, b'{"event_id": 1}', b"\xff" * 20, whole + not_text)
    return _refused(sent, "undecodable", value=chance.choice(spoiled))


def _oversized(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    size = chance.choice((BIG_BYTES + 1, BIG_BYTES + 1, BIG_BYTES + 100_000, MAX_BYTES - 100_000))
    return _refused(sent, "oversized", value=chance.randbytes(16) * (size // 16 + 1))


def _mis_keyed(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    """Another's key, one of another form, no UTF-8; none where the topic is not compacted."""
    keys = [b"default/nobody", b"", (sent.key or b"").removeprefix(b"default/"), b"\xff\xfe", b"k" * 2000]
    if sent.topic in (EVENTS, IMPRESSIONS):
        keys.append(None)  # type: ignore[arg-type]
    return _refused(sent, "key_mismatch", key=chance.choice(keys))


def _out_of_range(sent: Sent, made: Any, chance: random.Random) -> Sent:
    nan, body = float("nan"), _body(sent.topic, made)
    fields: dict[str, list[tuple[str, Any]]] = {
        EVENTS: [("value", nan), ("value", float("inf")), ("price", -1.0), ("price", 1e308), ("position", -1),
                 ("event_time_ms", 0), ("event_time_ms", 10**14), ("event_id", ""), ("item_id", "a\x00b"),
                 ("item_id", "x" * 129), ("surface", "y" * 65)],
        IMPRESSIONS: [("as_of_ms", 0), ("request_id", ""), ("request_id", "r\n"), ("surface", "y" * 65)],
        USERS: [("event_time_ms", -1), ("event_time_ms", 10**14)],
        CATALOG: [("price", nan), ("price", -1.0), ("title", "t" * 513), ("event_time_ms", 0)],
    }  # fmt: skip
    name, value = chance.choice(fields[sent.topic])
    setattr(body, name, value)
    return _refused(sent, "invalid_field", value=made.SerializeToString())


def _future(sent: Sent, made: Any, chance: random.Random) -> Sent:
    name = "as_of_ms" if sent.topic == IMPRESSIONS else "event_time_ms"
    setattr(_body(sent.topic, made), name, sent.time_ms + 300_000 + chance.choice((1, 1000, 86_400_000)))
    return _refused(sent, "future_event_time", value=made.SerializeToString())


def _of_another_topic(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    other = chance.choice([topic for topic in LAKE_TOPICS if topic != sent.topic])
    value = message(other, chance.randrange(10_000)).SerializeToString()
    return _refused(sent, "schema_mismatch", "invalid_field", "undecodable", value=value)


def _unknown(sent: Sent, made: Any, chance: random.Random) -> Sent:
    """An event type that nobody declared, or a tenant that is not there."""
    body = _body(sent.topic, made)
    if sent.topic == EVENTS and chance.random() < 0.7:
        body.type = chance.choice(("teleport", "impression", "views"))
        return _refused(sent, "unknown_event_type", value=made.SerializeToString())
    body.tenant = "acme"
    return _refused(sent, "unknown_tenant", value=made.SerializeToString(), key=_key(sent.topic, made))


def _headers(sent: Sent, made: Any, chance: random.Random) -> Sent:  # noqa: ARG001
    return _refused(sent, "too_many_headers", headers={f"h{i}": b"" for i in range(chance.choice((101, 1000)))})


def _record_time(sent: Sent, made: Any, chance: random.Random) -> Sent:
    return _refused(sent, "invalid_record_time", time_ms=chance.choice((-5, -(10**12))), value=made.SerializeToString())


_Kind = Callable[[Sent, Any, random.Random], Sent]
_KINDS: tuple[_Kind, ...] = (
    _tombstone, _bytes, _mis_keyed, _out_of_range, _future, _of_another_topic, _unknown, _headers, _record_time,
    _oversized,
)  # fmt: skip
_WEIGHTS = (10, 20, 15, 20, 10, 10, 10, 4, 4, 1)
