"""The rules of the fields, as they stand in the protos: what passes, what does not, and that ids have one rule."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from buf.validate import validate_pb2
from snowmelt.api.events.v1 import events_pb2 as events
from snowmelt.api.gateway.v1 import gateway_pb2 as gateway
from snowmelt.api.ranker.v1 import ranker_pb2 as ranker
from snowmelt.api.retrieval.v1 import retrieval_pb2 as retrieval
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.ids import ID, ID_RULE, OPTIONAL_ID
from snowmelt.runtime.validation import check

NOW, LAST = 1_714_521_600_000, 4_102_444_800_000
NAN, INF = float("nan"), float("inf")
EVENT: dict[str, Any] = {
    "event_id": "e",
    "tenant": "default",
    "user_id": "u",
    "item_id": "i",
    "type": "click",
    "event_time_ms": NOW,
}
ITEM: dict[str, Any] = {"tenant": "default", "item_id": "i", "event_time_ms": NOW}
USER: dict[str, Any] = {"tenant": "default", "user_id": "u", "event_time_ms": NOW}
SLATE: dict[str, Any] = {"request_id": "r", "tenant": "default", "user_id": "u", "as_of_ms": NOW}
QUESTION: dict[str, Any] = {"tenant": "default", "user": retrieval.UserState(), "as_of_ms": NOW, "release_id": "r"}


def event(**fields: Any) -> Message:
    return events.Event(**{**EVENT, **fields})


def slate(**fields: Any) -> Message:
    return events.Impression(**{**SLATE, **fields})


def place(**fields: Any) -> Message:
    return slate(items=[events.ImpressionItem(**{"item_id": "i", "propensity": 1.0, **fields})])


def hit(score: float) -> Message:
    return place(sources=[events.SourceHit(source="s", rank=1, score=score)])


def retrieve(**fields: Any) -> Message:
    return retrieval.RetrieveRequest(**{**QUESTION, "limit": 1, **fields})


def rank(**fields: Any) -> Message:
    return ranker.RankRequest(**{**QUESTION, "candidates": retrieval.Candidates(), **fields})


IDS: dict[str, Callable[[str], Message]] = {
    "event_id": lambda text: event(event_id=text),
    "user_id": lambda text: event(user_id=text),
    "session_id": lambda text: event(session_id=text),
    "item_id": lambda text: event(item_id=text),
    "upsert.item_id": lambda text: events.ItemUpsert(**{**ITEM, "item_id": text}),
    "withdrawal.item_id": lambda text: events.ItemWithdrawal(**{**ITEM, "item_id": text}),
    "user upsert": lambda text: events.UserUpsert(**{**USER, "user_id": text}),
    "a slate's user": lambda text: slate(user_id=text),
    "a slate's session": lambda text: slate(session_id=text),
    "asked user": lambda text: gateway.RecommendRequest(user_id=text),
    "asked session": lambda text: gateway.RecommendRequest(session_id=text),
    "a step": lambda text: gateway.SessionEvent(item_id=text, type="click"),
    "withdrawn": lambda text: gateway.WithdrawItemsRequest(item_ids=[text]),
    "state of": lambda text: gateway.GetUserStateRequest(user_id=text),
}  # fmt: skip
NO_IDS = ["  ", "\u3000", "a\0", "a\n", "a\x7f", "a\x85", "\u202ea", "a\u200f", "\u2066", "x" * 129]


@pytest.mark.parametrize("text", NO_IDS, ids=ascii)
@pytest.mark.parametrize("name", IDS)
def test_an_id_is_readable_and_passes_for_no_other(name: str, text: str) -> None:
    with pytest.raises(SnowmeltError, match=ID_RULE if len(text) < 129 else "at most 128 bytes"):
        check(IDS[name](text))


@pytest.mark.parametrize("text", ["a", " a ", "a b", "Ärger 7", "\u00a0x", "商品", "👍", "é" * 64], ids=ascii)
@pytest.mark.parametrize("name", IDS)
def test_an_id_may_be_any_other_text(name: str, text: str) -> None:
    check(IDS[name](text))


def test_the_protos_and_the_columns_have_one_pattern_of_ids() -> None:
    found = [
        (field.name, rules.repeated.items.string.pattern or rules.string.pattern)
        for file in (events, gateway)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        for rules in [field.GetOptions().Extensions[validate_pb2.field]]
    ]
    with_marks = [(name, pattern) for name, pattern in found if "\u202e" in pattern]
    assert len(with_marks) == len(IDS)
    assert {pattern for _, pattern in with_marks} == {ID, OPTIONAL_ID}


REFUSED = [
    ("nobody's slate", slate(user_id=""), "set user_id or session_id"),
    ("control characters in a shown item", place(item_id="a\0"), "items[0].item_id"),
    ("a ranker's score that is none", place(ranker_score=NAN), "items[0].ranker_score"),
    ("an endless ranker's score", place(ranker_score=-INF), "items[0].ranker_score"),
    ("a source's score that is none", hit(NAN), "items[0].sources[0].score"),
    ("an endless source's score", hit(INF), "items[0].sources[0].score"),
    ("a propensity that is none", place(propensity=NAN), "items[0].propensity"),
    *(
        (f"{each.__name__}: {what}", each(**fields), field)
        for each in (retrieve, rank)
        for what, fields, field in (
            ("the last millisecond", {"as_of_ms": 2**63 - 1}, "as_of_ms"),
            ("a surface of 100 kB", {"surface": "x" * 100_000}, "surface"),
            ("control characters in a surface", {"surface": "a\n"}, "surface"),
            ("a context key of 10 kB", {"context": {"k" * 10_000: "v"}}, "context"),
            ("a context value of 10 kB", {"context": {"k": "v" * 10_000}}, "context"),
            ("control characters in a context key", {"context": {"k\n": "v"}}, "context"),
            ("control characters in a context value", {"context": {"k": "v\0"}}, "context"),
        )
    ),
    ("an empty excluded id", retrieve(exclude_item_ids=["a", ""]), "exclude_item_ids[1]"),
    ("an excluded id of 10 kB", retrieve(exclude_item_ids=["x" * 10_000]), "exclude_item_ids[0]"),
    ("an empty category", retrieve(categories=[""]), "categories[0]"),
    ("a category of 10 kB", retrieve(categories=["x" * 10_000]), "categories[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_breaks_a_rule_is_refused_and_named(message: Message, said: str) -> None:
    with pytest.raises(SnowmeltError) as caught:
        check(message)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    "message",
    [
        slate(user_id="", session_id="s"),
        place(item_id="  ", ranker_score=-1.5, features=[NAN]),
        hit(0.0),
        retrieve(surface="home", context={"a": ""}, exclude_item_ids=["  "], categories=["War"], as_of_ms=LAST),
        rank(surface="home", context={"a": ""}, as_of_ms=LAST),
    ],
    ids=lambda message: message.DESCRIPTOR.name,
)  # fmt: skip
def test_what_keeps_the_rules_passes(message: Message) -> None:
    check(message)
