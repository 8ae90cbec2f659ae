"""Bad input as a table, each row with its expected answer; the numbers are those of the project's catalogue of them.

What both doors can be sent (unknown types, wrong lengths, ranges) stands in test_doors.py; what no answer shows, in
test_bad_inputs_inside.py.
"""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest, SessionEvent
from snowmelt.runtime.auth import Role
from tests.gateway.house import House

JSON = {"content-type": "application/json"}
RECOMMEND = "/v1/recommend"
GOOD = b'{"user_id":"u","k":1}'


def deep(levels: int) -> bytes:
    return b'{"user_id":' + b"[" * levels + b"]" * levels + b"}"


def session(**step: Any) -> dict[str, Any]:
    return {"session_id": "s", "session_events": [{"item_id": "i1", "type": "click", **step}]}


BODIES: list[tuple[str, str, bytes | dict[str, Any], int, str]] = [
    ("1 not JSON", RECOMMEND, b"user=u", 400, "malformed_json"),
    ("1 trailing garbage", RECOMMEND, GOOD + b"]", 400, "malformed_json"),
    ("2 empty", RECOMMEND, b"", 400, "malformed_json"),
    ("7 too large", RECOMMEND, b'{"user_id":"' + b"x" * 1_100_000 + b'"}', 413, "body_too_large"),
    ("10 nested 10,000 deep", RECOMMEND, deep(10_000), 400, "malformed_json"),
    ("10 objects 10,000 deep", RECOMMEND, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "malformed_json"),
    ("11 NaN", "/v1/events", b'{"events":[{"user_id":"u","value":NaN}]}', 400, "malformed_json"),
    ("11 Infinity", "/v1/events", b'{"events":[{"user_id":"u","value":-Infinity}]}', 400, "malformed_json"),
    ("11 1e999", "/v1/events", b'{"events":[{"user_id":"u","value":1e999}]}', 400, "malformed_json"),
    ("11 -0", RECOMMEND, b'{"user_id":"u","k":-0}', 400, "malformed_json"),
    ("12 an id as a number", RECOMMEND, {"user_id": 2**53 + 1}, 400, "invalid_field"),
    ("12 a number as a string", RECOMMEND, {"user_id": "u", "k": "9007199254740993"}, 400, "invalid_field"),
    ("13 a key twice", RECOMMEND, b'{"user_id":"u","user_id":"v"}', 400, "malformed_json"),
    ("14 unknown field", RECOMMEND, {"user_id": "u", "limit": 5}, 400, "invalid_field"),
    ("15 wrong type", RECOMMEND, {"user_id": "u", "k": "ten"}, 400, "invalid_field"),
    ("16 null", RECOMMEND, {"user_id": None}, 400, "invalid_field"),
    ("17 half a surrogate pair", RECOMMEND, b'{"user_id":"\\ud800"}', 400, "malformed_json"),
    ("17 not UTF-8", RECOMMEND, b'{"user_id":"\xff"}', 400, "malformed_json"),
    ("18 NUL", RECOMMEND, {"user_id": "a\0"}, 400, "invalid_field"),
    ("18 a C1 control character", RECOMMEND, {"user_id": "a\x85"}, 400, "invalid_field"),
    ("18 right-to-left override", RECOMMEND, {"user_id": "a\u202e"}, 400, "invalid_field"),
    ("18 the mark of sessions", RECOMMEND, {"user_id": "\x1fs"}, 400, "invalid_field"),
    ("19 empty", RECOMMEND, {"user_id": ""}, 400, "invalid_field"),
    ("19 spaces", RECOMMEND, {"user_id": "  "}, 400, "invalid_field"),
    ("19 too long", RECOMMEND, {"user_id": "x" * 200_000}, 400, "invalid_field"),
    ("20 unknown user", RECOMMEND, {"user_id": "a stranger"}, 200, ""),
    ("23 k 0", RECOMMEND, {"user_id": "u", "k": 0}, 400, "invalid_field"),
    ("23 k 1.5", RECOMMEND, {"user_id": "u", "k": 1.5}, 400, "invalid_field"),
    ("23 k 1e9", RECOMMEND, {"user_id": "u", "k": 10**9}, 400, "invalid_field"),
    ("23 k missing", RECOMMEND, {"user_id": "u"}, 200, ""),
    ("24 a control character", RECOMMEND, {"user_id": "u", "context": {"page": "a\x00b"}}, 400, "invalid_field"),
    ("24 a control character in a name", RECOMMEND, {"user_id": "u", "context": {"a\nb": "c"}}, 400, "invalid_field"),
    ("24 an unknown filter", RECOMMEND, {"user_id": "u", "brand": "x"}, 400, "invalid_field"),
    ("25 too many categories", RECOMMEND, {"user_id": "u", "categories": ["c"] * 33}, 400, "invalid_field"),
    ("26 too many excluded", RECOMMEND, {"user_id": "u", "exclude_item_ids": ["x"] * 1001}, 400, "invalid_field"),
    ("28 the year 9999", RECOMMEND, session(event_time_ms=253_402_300_799_000), 400, "invalid_field"),
    ("28 1970", RECOMMEND, session(event_time_ms=0), 400, "invalid_field"),
    ("28 1e30", RECOMMEND, session(event_time_ms=1e30), 400, "invalid_field"),
    ("28 a step of 2099", RECOMMEND, session(event_time_ms=4_070_908_800_000), 400, "invalid_field"),
    (
        "28 an event of 2096", "/v1/events",
        {"events": [{"user_id": "u", "item_id": "i", "type": "click", "event_time_ms": 4 * 10**12}]},
        400, "invalid_field",
    ),
    (
        "28 an item of 2096", "/v1/items",
        {"items": [{"item_id": "a", "event_time_ms": 4 * 10**12}]}, 400, "invalid_field",
    ),
    ("29 a date as text", RECOMMEND, session(event_time_ms="2024-01-01T00:00:00"), 400, "invalid_field"),
    ("30 unknown type", RECOMMEND, session(type="stare"), 400, "unknown_event_type"),
    (
        "31 too many events", "/v1/events",
        {"events": [{"user_id": "u", "item_id": "i", "type": "click"}] * 1001}, 400, "invalid_field",
    ),
    (
        "32 one bad of three", "/v1/events",
        {"events": [{"user_id": "u", "item_id": i, "type": "click"} for i in ("a", "", "b")]}, 400, "invalid_field",
    ),
    ("87 a price of 1e308", "/v1/items", {"items": [{"item_id": "a", "price": 1e308}]}, 400, "invalid_field"),
    ("90 a title of 1 MiB", "/v1/items", {"items": [{"item_id": "a", "title": "t" * 900_000}]}, 400, "invalid_field"),
    ("102 an item twice", "/v1/items", {"items": [{"item_id": "a"}] * 2}, 400, "invalid_field"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "code"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
def test_bodies(house: House, path: str, body: bytes | dict[str, Any], status: int, code: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with house.rest() as client:
        answer = client.post(path, content=raw, headers=JSON)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["code"] == code
        assert bool(answer.json()["errors"]) == (code in ("invalid_field", "unknown_event_type"))


GZIP = {**JSON, "content-encoding": "gzip"}
HEADERS: list[tuple[str, str, str, dict[str, str], bytes, int, str]] = [
    ("3 text/plain", "POST", RECOMMEND, {"content-type": "text/plain"}, GOOD, 415, "unsupported_media_type"),
    ("3 a form", "POST", RECOMMEND, {"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415,
     "unsupported_media_type"),
    ("3 no type", "POST", RECOMMEND, {}, GOOD, 415, "unsupported_media_type"),
    ("3 another charset", "POST", RECOMMEND, {"content-type": "application/json; charset=latin-1"}, GOOD, 415,
     "unsupported_media_type"),
    ("4 accept", "POST", RECOMMEND, {**JSON, "accept": "text/html, text/xml;q=0.9"}, GOOD, 406, "not_acceptable"),
    ("4 accept, refused", "POST", RECOMMEND, {**JSON, "accept": "application/json;q=0"}, GOOD, 406, "not_acceptable"),
    ("5 unknown path", "GET", "/v2/recommend", {}, b"", 404, "not_found"),
    ("5 a slash more", "POST", RECOMMEND + "/", JSON, GOOD, 404, "not_found"),
    ("6 wrong method", "GET", RECOMMEND, {}, b"", 405, "method_not_allowed"),
    ("8 no gzip", "POST", RECOMMEND, GZIP, GOOD, 400, "malformed_json"),
    ("8 two members", "POST", RECOMMEND, GZIP, gzip.compress(GOOD) * 2, 400, "malformed_json"),
    ("8 half of it", "POST", RECOMMEND, GZIP, gzip.compress(GOOD)[:-4], 400, "malformed_json"),
    ("8 good", "POST", RECOMMEND, GZIP, gzip.compress(GOOD), 200, ""),
    ("9 deflate", "POST", RECOMMEND, {**JSON, "content-encoding": "deflate"}, zlib.compress(GOOD), 415,
     "unsupported_media_type"),
    ("36 no token", "POST", RECOMMEND, {**JSON, "authorization": ""}, GOOD, 401, "unauthenticated"),
    ("37 empty token", "POST", RECOMMEND, {**JSON, "authorization": "Bearer"}, GOOD, 401, "unauthenticated"),
    ("37 a token of 10 KiB", "POST", RECOMMEND, {**JSON, "authorization": "Bearer " + "x" * 10_000}, GOOD, 431,
     "headers_too_large"),
    ("38 a JWT", "POST", RECOMMEND, {**JSON, "authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, GOOD, 401,
     "unauthenticated"),
    ("41 a token in the query", "POST", RECOMMEND + "?token=x", {**JSON, "authorization": ""}, GOOD, 401,
     "unauthenticated"),
    ("44 a foreign host", "POST", RECOMMEND, {**JSON, "host": "evil.example"}, GOOD, 421, "host_not_allowed"),
    ("44 localhost", "POST", RECOMMEND, {**JSON, "host": "LOCALHOST:99"}, GOOD, 200, ""),
    ("45 preflight", "OPTIONS", RECOMMEND, {"origin": "https://a.example"}, b"",
     405, "method_not_allowed"),
    ("45 cross-origin", "POST", RECOMMEND, {**JSON, "origin": "https://a.example"}, GOOD, 200, ""),
    ("47 a forwarded host", "POST", RECOMMEND,
     {**JSON, "host": "evil.example", "x-forwarded-host": "localhost", "forwarded": "host=localhost"}, GOOD, 421,
     "host_not_allowed"),
    ("49 a header of 64 KiB", "POST", RECOMMEND, {**JSON, "x-long": "y" * 65_536}, GOOD, 431, "headers_too_large"),
    ("49 1,000 headers", "POST", RECOMMEND, {**JSON, **{f"x-{n}": "y" for n in range(1000)}}, GOOD, 431,
     "headers_too_large"),
    ("50 traversal", "GET", "/v1/users/..%2f..%2fetc/state", {}, b"", 404, "not_found"),
    ("50 traversal in the open", "GET", "/v1/users/a/../../etc/state", {}, b"", 404, "not_found"),
    ("50 a part too many", "GET", "/v1/users/a/b/state", {}, b"", 404, "not_found"),
    ("50 dots alone", "GET", "/v1/users/%2e%2e/state", {}, b"", 404, "not_found"),
    ("50 NUL in the path", "GET", "/v1/users/a%00b/state", {}, b"", 400, "invalid_field"),
    ("50 no UTF-8 in the path", "GET", "/v1/users/%ff/state", {}, b"", 400, "invalid_field"),
    ("53 HEAD", "HEAD", RECOMMEND, {}, b"", 405, ""),
    ("53 TRACE", "TRACE", RECOMMEND, {}, b"", 405, "method_not_allowed"),
    ("54 metrics", "GET", "/metrics", {}, b"", 404, "not_found"),
    ("54 debug", "GET", "/debug", {}, b"", 404, "not_found"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "path", "headers", "body", "status", "code"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
def test_headers(
    house: House, verb: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    with house.rest() as client:
        answer = client.request(verb, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert "access-control-allow-origin" not in answer.headers
    assert ("allow" in answer.headers) == (status == 405)
    if code:
        assert answer.json()["code"] == code


def _spoken(house: House, raw: bytes) -> bytes:
    host, _, port = house.gateway.rest_address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as link:
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))


def _head(house: House) -> bytes:
    token = house.tokens.of(Role.PUBLIC)
    return (
        f"POST {RECOMMEND} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n"
    ).encode()


def test_43_two_authorization_headers(house: House) -> None:
    raw = _head(house) + b"Authorization: Bearer other\r\nContent-Length: 2\r\n\r\n{}"
    assert b"HTTP/1.1 400" in _spoken(house, raw)


def test_43_two_lengths(house: House) -> None:
    raw = _head(house) + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    answer = _spoken(house, raw)
    assert b"HTTP/1.1 400" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_7_a_body_without_a_length_that_does_not_end(house: House) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    with house.rest() as client:
        answer = client.post(RECOMMEND, content=chunks(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n"]
)
def test_69_what_is_no_http_ends_the_connection_alone(house: House, raw: bytes) -> None:
    assert b"HTTP/1.1 5" not in _spoken(house, raw)
    with house.rest() as client:
        assert client.post(RECOMMEND, content=GOOD, headers=JSON).status_code == 200


def test_69_http_1_on_the_grpc_port(house: House) -> None:
    host, _, port = house.gateway.grpc_address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        link.settimeout(5)
        assert b"200" not in link.recv(4096)[:20]
    with house.client() as client:
        assert client.recommend("u", k=1).items


METHOD = "/snowmelt.api.gateway.v1.GatewayService/"
TOO_FAR_AHEAD = RecommendRequest(
    session_id="s", session_events=[SessionEvent(item_id="i1", type="click", event_time_ms=4_070_908_800_000)]
)
RPC: list[tuple[str, str, bytes, dict[str, Any], grpc.StatusCode]] = [
    ("55 unknown method", METHOD + "Nope", b"", {}, grpc.StatusCode.UNIMPLEMENTED),
    ("55 unknown service", "/a.B/C", b"", {}, grpc.StatusCode.UNIMPLEMENTED),
    ("56 random bytes", METHOD + "Recommend", b"\xff\x00\xff", {}, grpc.StatusCode.INVALID_ARGUMENT),
    ("56 truncated", METHOD + "Recommend", b"\x0a\x7f", {}, grpc.StatusCode.INVALID_ARGUMENT),
    ("56 no UTF-8", METHOD + "Recommend", b"\x0a\x01\xff", {}, grpc.StatusCode.INVALID_ARGUMENT),
    ("57 too large", METHOD + "Recommend", b"\x0a" * 2_000_000, {}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ("58 metadata of 20 KiB", METHOD + "Recommend", b"", {"x": "y" * 20_000}, grpc.StatusCode.RESOURCE_EXHAUSTED),
    # Their client gives up by itself: nothing may arrive.
    ("60 a deadline that has passed", METHOD + "Recommend", b"\x0a\x01u", {"timeout": -1},
     grpc.StatusCode.DEADLINE_EXCEEDED),
    ("28 a step of 2099", METHOD + "Recommend", TOO_FAR_AHEAD.SerializeToString(), {},
     grpc.StatusCode.INVALID_ARGUMENT),
    ("64 a million entries", METHOD + "Recommend", b"\x0a\x01u" + b"\x32\x01a" * 300_000, {},
     grpc.StatusCode.INVALID_ARGUMENT),
    ("66 groups 1,000 deep", METHOD + "Recommend", b"\x7b" * 1000 + b"\x7c" * 1000, {},
     grpc.StatusCode.INVALID_ARGUMENT),
]  # fmt: skip


@pytest.mark.parametrize(("method", "body", "options", "code"), [row[1:] for row in RPC], ids=[row[0] for row in RPC])
def test_rpc(house: House, method: str, body: bytes, options: dict[str, Any], code: grpc.StatusCode) -> None:
    before = house.retrieval.calls
    metadata = [("authorization", f"Bearer {house.tokens.of(Role.PUBLIC)}")]
    metadata += [(name, value) for name, value in options.items() if name != "timeout"]
    with grpc.insecure_channel(house.gateway.grpc_address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(method)(body, timeout=options.get("timeout", 5), metadata=metadata)
    assert caught.value.code() is code
    assert house.retrieval.calls == before


ADMIN: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("74 unknown release", "releases/none-such/activate", {}, 404, "release_not_found"),
    ("76 a path", "releases/..%2f..%2fetc/activate", {}, 404, "not_found"),
    ("76 a hidden name", "releases/.hidden/activate", {}, 400, "invalid_field"),
    ("76 a URL", "releases/http:a.example/activate", {}, 400, "invalid_field"),
    ("14 unknown field", "releases/r/activate", {"force": True}, 400, "invalid_field"),
    ("14 the id twice", "releases/r/activate", {"release_id": "q"}, 400, "invalid_field"),
    ("15 wrong type", "releases/r/activate", {"expected_generation": "one"}, 400, "invalid_field"),
    ("75 nothing to go back to", "releases/rollback", {}, 400, "no_release"),
]


@pytest.mark.parametrize(("path", "body", "status", "code"), [row[1:] for row in ADMIN], ids=[row[0] for row in ADMIN])
def test_admin(house: House, path: str, body: dict[str, Any], status: int, code: str) -> None:
    with house.rest(Role.ADMIN, admin=True) as client:
        answer = client.post(f"/admin/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_table_is_long_enough() -> None:
    assert len(BODIES) + len(HEADERS) + len(RPC) + len(ADMIN) >= 40
