"""Bad input of which the answer alone shows too little: what became of it inside. Numbers as in test_bad_inputs.py."""

import asyncio
import gzip
import re
import tracemalloc
from typing import Any

import httpx
import pytest

from services.gateway.http import HttpListener
from tests.gateway.house import House
from tests.gateway.test_bad_inputs import GOOD, GZIP, JSON, RECOMMEND

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def test_8_a_bomb_is_not_unpacked(house: House) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        with house.rest() as client:
            answer = client.post(RECOMMEND, content=bomb, headers=GZIP)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert most_bytes < 10_000_000


@pytest.mark.parametrize(
    "parent",
    [
        "00-zz-1",
        f"00-{TRACE_ID}-zz-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}-b7ad6b7169203331-01",
    ],
)
def test_46_a_traceparent_from_outside_gives_no_trace_id(house: House, parent: str) -> None:
    with house.rest() as client:
        answers = [client.post(RECOMMEND, content=GOOD, headers={**JSON, "traceparent": parent}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    given = [answer.json()["trace_id"] for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{32}", trace_id) and int(trace_id, 16) for trace_id in given)
    assert len({*given, TRACE_ID}) == 3


def test_47_a_listener_believes_no_forwarded_address() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def asked() -> None:
        listener = HttpListener(app, "127.0.0.1:0")
        await listener.start()
        forwarded = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "forwarded": "for=1.2.3.4;proto=https"}
        async with httpx.AsyncClient() as client:
            await client.get(f"http://{listener.address}/", headers=forwarded)
        await listener.stop()

    asyncio.run(asked())
    assert seen == [("127.0.0.1", "http")]
