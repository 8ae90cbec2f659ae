"""JSON to the letter, and messages out of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest, RecordEventsRequest
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.json_messages import to_json, to_message
from snowmelt.runtime.strict_json import parse

REFUSED = [
    b"", b" ", b"{", b"nope", b'{"a":1}x', b"{'a':1}", b"[NaN]", b"[Infinity]", b"[-Infinity]", b"[1e999]", b"[-1e999]",
    b"[-0]", b"[-0.0]", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'"\\ud800"', b'{"\\udfff":1}', b"\xff\xfe",
    b'"\xc3"',
    b"[" * 33 + b"]" * 33, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b"[01]", b"[1,]",
    b'"\t"', b"[" + b"9" * 5000 + b"]", b"\xef\xbb\xbf{}",
]  # fmt: skip


@pytest.mark.parametrize("body", REFUSED, ids=lambda b: b[:20].decode("latin-1"))
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(SnowmeltError) as caught:
        parse(body)
    assert caught.value.reason is Reason.MALFORMED_JSON


def test_brackets_inside_strings_are_no_depth() -> None:
    text = json.dumps({"a": "[{" * 100 + '\\"' + "[" * 50})
    assert parse(text.encode()) == json.loads(text)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(_values)
def test_what_json_writes_is_read_back(value: Any) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        text = json.dumps(value).encode()
    if b"-0" in text.replace(b" ", b"").replace(b"-0.", b"") or b"-0.0" in text:
        return
    try:
        assert parse(text) == value
    except SnowmeltError:
        assert "\\ud" in json.dumps(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        parse(body)
    except SnowmeltError as error:
        reason = error.reason
    else:
        reason = Reason.MALFORMED_JSON
    assert reason is Reason.MALFORMED_JSON


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"k": "ten"}, "k"),
        ({"k": 1.5}, "k"),
        ({"k": True}, "k"),
        ({"k": 2**31}, "k"),
        ({"k": None}, "k"),
        ({"user_id": 5}, "user_id"),
        ({"user_id": ["a"]}, "user_id"),
        ({"userId": "a"}, "userId"),
        ({"categories": "a"}, "categories"),
        ({"categories": ["a", 1]}, "categories[1]"),
        ({"session_events": [{"item_id": "a"}, 5]}, "session_events[1]"),
        ({"session_events": [{"item_id": 3}]}, "session_events[0].item_id"),
        ({"context": []}, "context"),
        ({"context": {"a": 1}}, 'context["a"]'),
        ({"explain": 1}, "explain"),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
def test_a_wrong_field_is_named_by_its_path(value: Any, field: str) -> None:
    with pytest.raises(SnowmeltError) as caught:
        to_message(value, RecommendRequest())
    assert caught.value.reason is Reason.INVALID_FIELD
    assert [v.field for v in caught.value.violations] == [field]


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(SnowmeltError) as caught:
        to_message({"kk": 1, "explain": "x", "surface": 2}, RecommendRequest())
    assert [v.field for v in caught.value.violations] == ["kk", "explain", "surface"]
    assert "did you mean k?" in caught.value.violations[0].detail


def test_a_message_goes_to_json_and_back() -> None:
    event = Event(event_id="e", user_id="ü", value=2.5, event_time_ms=1_700_000_000_001, context={"a": "b"}, position=0)
    request = RecordEventsRequest(events=[event, Event()])
    assert to_message(json.loads(json.dumps(to_json(request))), RecordEventsRequest()) == request
    assert to_json(event)["event_time_ms"] == 1_700_000_000_001
    assert "value" not in to_json(Event())
