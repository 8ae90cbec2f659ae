"""REST and gRPC are two doors to the same house: fifty cases, the same answers, the same reasons."""

import json
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from snowmelt.api.gateway.v1 import gateway_pb2 as public
from snowmelt.runtime.auth import Role
from snowmelt.runtime.json_messages import to_json, to_message
from tests.gateway.house import ITEMS, House

SERVICE = "/snowmelt.api.gateway.v1.GatewayService/"
METHODS: dict[str, tuple[str, str, type[Message], type[Message]]] = {
    "Recommend": ("POST", "/v1/recommend", public.RecommendRequest, public.RecommendResponse),
    "RecordEvents": ("POST", "/v1/events", public.RecordEventsRequest, public.RecordEventsResponse),
    "UpsertItems": ("POST", "/v1/items", public.UpsertItemsRequest, public.UpsertItemsResponse),
    "WithdrawItems": ("POST", "/v1/items/withdraw", public.WithdrawItemsRequest, public.WithdrawItemsResponse),
    "GetUserState": ("GET", "/v1/users/{user_id}/state", public.GetUserStateRequest, public.GetUserStateResponse),
}


def event(**fields: Any) -> dict[str, Any]:
    return {"events": [{"user_id": "dora", "item_id": "i1", "type": "click", **fields}]}


def item(**fields: Any) -> dict[str, Any]:
    return {"items": [{"item_id": "door-item", "title": "A door", **fields}]}


CASES: list[tuple[str, dict[str, Any]]] = [
    ("Recommend", {"user_id": "dora"}),
    ("Recommend", {"user_id": "dora", "k": 1}),
    ("Recommend", {"user_id": "dora", "k": 100}),
    ("Recommend", {"user_id": "dora", "k": 0}),
    ("Recommend", {"user_id": "dora", "k": -1}),
    ("Recommend", {"user_id": "dora", "k": 101}),
    ("Recommend", {"user_id": "nobody at all"}),
    ("Recommend", {"session_id": "s"}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "i1", "type": "click"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "i1", "type": "clik"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "i1", "type": "Click!"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "", "type": "click"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "not-there", "type": "view"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "i1", "type": "impression"}]}),
    ("Recommend", {"session_id": "s", "session_events": [{"item_id": "i1", "type": "view", "event_time_ms": 10**12}]}),
    ("Recommend", {}),
    ("Recommend", {"user_id": "dora", "session_id": "s"}),
    ("Recommend", {"user_id": "   "}),
    ("Recommend", {"user_id": "x" * 129}),
    ("Recommend", {"user_id": "a\u0000b"}),
    ("Recommend", {"user_id": "a\u202eb"}),
    ("Recommend", {"user_id": "ü" * 64, "k": 2}),
    ("Recommend", {"user_id": "dora", "categories": ["Comedy"], "k": 5}),
    ("Recommend", {"user_id": "dora", "categories": ["None such"]}),
    ("Recommend", {"user_id": "dora", "categories": [""]}),
    ("Recommend", {"user_id": "dora", "exclude_item_ids": ITEMS}),
    ("Recommend", {"user_id": "dora", "exclude_item_ids": [f"x{n}" for n in range(1001)]}),
    ("Recommend", {"user_id": "dora", "explain": True, "k": 2}),
    ("Recommend", {"user_id": "dora", "surface": "home", "context": {"a": "b"}, "k": 2}),
    ("Recommend", {"user_id": "dora", "context": {f"k{n}": "v" for n in range(33)}}),
    ("Recommend", {"user_id": "dora", "timeout_ms": 0}),
    ("Recommend", {"user_id": "dora", "timeout_ms": 5001}),
    ("RecordEvents", event(event_id="door-1")),
    ("RecordEvents", event(event_id="door-2", value=4.5, event_time_ms=1_700_000_000_000)),
    ("RecordEvents", event(type="clik")),
    ("RecordEvents", event(type="impression")),
    ("RecordEvents", event(item_id="")),
    ("RecordEvents", event(user_id="")),
    ("RecordEvents", event(tenant="another")),
    ("RecordEvents", event(event_time_ms=1)),
    ("RecordEvents", event(event_time_ms=2**62)),
    ("RecordEvents", event(price=3.0)),
    ("RecordEvents", event(value=1e300)),
    ("RecordEvents", {"events": []}),
    ("UpsertItems", item()),
    ("UpsertItems", item(price=-1.0)),
    ("UpsertItems", item(title="t" * 513)),
    ("UpsertItems", {"items": item()["items"] * 2}),
    ("WithdrawItems", {"item_ids": ["door-item"]}),
    ("WithdrawItems", {"item_ids": []}),
    ("WithdrawItems", {"item_ids": ["a", "a"]}),
    ("GetUserState", {"user_id": "dora"}),
    ("GetUserState", {"user_id": "nobody at all"}),
    ("GetUserState", {"user_id": "x" * 129}),
    ("GetUserState", {"user_id": "org/17"}),
    ("GetUserState", {"user_id": "100% ä?#/state"}),
    ("GetUserState", {"user_id": "a%2Fb"}),
]
VARYING = ("request_id", "trace_id", "as_of_ms", "stages")
STATUS = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 413, 9: 400, 10: 409, 12: 404, 13: 500, 14: 503, 16: 401}


def over_rest(house: House, name: str, body: dict[str, Any]) -> tuple[str, Any]:
    verb, path, _, _ = METHODS[name]
    with house.rest() as client:
        if verb == "GET":
            answer = client.get(path.format(**{name: quote(value, safe="") for name, value in body.items()}))
        else:
            answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    found = answer.json()
    if answer.status_code == 200:
        return "ok", _settled(found)
    assert answer.headers["content-type"] == "application/problem+json"
    assert found["status"] == answer.status_code
    return found["code"], (found["detail"], [(e["field"], e["detail"]) for e in found["errors"]], answer.status_code)


def over_grpc(house: House, name: str, body: dict[str, Any]) -> tuple[str, Any]:
    _, _, request, response = METHODS[name]
    metadata = (("authorization", f"Bearer {house.tokens.of(Role.PUBLIC)}"),)
    with grpc.insecure_channel(house.gateway.grpc_address) as channel:
        call = channel.unary_unary(SERVICE + name, request.SerializeToString, response.FromString)
        try:
            return "ok", _settled(to_json(call(to_message(body, request()), timeout=5, metadata=metadata)))
        except grpc.RpcError as error:
            raw = dict(error.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(raw)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = [(v.field, v.description) for v in bad.field_violations]
    return info.reason, (status.message, fields, STATUS[status.code])


def _settled(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in VARYING}


@pytest.mark.parametrize(("name", "body"), CASES, ids=[f"{n}-{name}" for n, (name, _) in enumerate(CASES)])
def test_both_doors_say_the_same(house: House, name: str, body: dict[str, Any]) -> None:
    rest, rpc = over_rest(house, name, body), over_grpc(house, name, body)
    assert rest == rpc


def test_there_are_fifty_cases_and_both_kinds_of_outcome(house: House) -> None:
    assert len(CASES) >= 50
    outcomes = {over_grpc(house, name, body)[0] for name, body in CASES}
    assert outcomes == {"ok", "invalid_field", "unknown_event_type", "permission_denied"}
