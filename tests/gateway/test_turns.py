"""Few at once: who waits gets its turn in order, and who waits too long is answered from popularity."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from services.gateway.request import Request
from services.gateway.turns import QUEUE, Turns
from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest, RecommendResponse
from tests.gateway.house import House


def _request(budget_ms: int = 5000) -> Request:
    return Request(RecommendRequest(user_id="u"), "default", 1_700_000_000_000, budget_ms)


async def _held(turns: Turns, count: int, let_go: asyncio.Event) -> list[asyncio.Task[bool]]:
    """Turns that are taken until ``let_go``."""

    async def hold() -> bool:
        async with turns.turn(_request()) as admitted:
            await let_go.wait()
            return admitted

    held = [asyncio.ensure_future(hold()) for _ in range(count)]
    await asyncio.sleep(0)
    return held


def _scene(story: Callable[[Turns, asyncio.Event], Awaitable[None]], at_once: int) -> None:
    async def whole() -> None:
        await story(Turns(at_once), asyncio.Event())

    asyncio.run(whole())


def test_a_free_turn_is_no_stage() -> None:
    async def story(turns: Turns, let_go: asyncio.Event) -> None:
        held = await _held(turns, 1, let_go)
        request = _request()
        async with turns.turn(request) as admitted:
            assert admitted
        let_go.set()
        assert await held[0]
        assert (request.stages, request.degraded) == ([], [])

    _scene(story, 2)


def test_who_waits_gets_its_turn_first_come_first_served() -> None:
    order: list[int] = []

    async def story(turns: Turns, let_go: asyncio.Event) -> None:
        held = await _held(turns, 2, let_go)

        async def come(number: int) -> None:
            request = _request()
            async with turns.turn(request) as admitted:
                assert admitted
                order.append(number)
                await asyncio.sleep(0)
            assert [stage.name for stage in request.stages] == [QUEUE]

        coming = [asyncio.ensure_future(come(number)) for number in range(5)]
        gone = asyncio.ensure_future(come(9))
        await asyncio.sleep(0)
        assert order == []
        gone.cancel()
        let_go.set()
        await asyncio.gather(*held, *coming)

    _scene(story, 2)
    assert order == [0, 1, 2, 3, 4]


def test_who_waits_too_long_is_not_admitted_and_takes_no_turn() -> None:
    async def story(turns: Turns, let_go: asyncio.Event) -> None:
        held = await _held(turns, 1, let_go)
        request = _request(budget_ms=500)
        async with turns.turn(request) as admitted:
            assert not admitted
        assert (request.degraded, [stage.name for stage in request.stages]) == ([QUEUE], [QUEUE])
        assert request.left_s() > 0, "something is left to answer in"
        let_go.set()
        await asyncio.gather(*held)
        async with turns.turn(_request()) as admitted:
            assert admitted

    _scene(story, 1)


def test_a_crowd_behind_a_late_backend_is_answered_from_popularity(house: House) -> None:
    house.retrieval.late_s = 1.0
    connected = Barrier(12, timeout=60)  # who comes later finds retrieval left alone, and waits for nobody

    def ask(_: int) -> RecommendResponse:
        with house.client() as client:
            client.user_state("nobody")
            connected.wait()
            return client.recommend("nobody", k=3, timeout_ms=400)

    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(ask, range(12)))
    waited = [answer for answer in answers if QUEUE in answer.degraded]
    assert waited
    assert all((answer.rung, answer.release_id, len(answer.items)) == ("popularity", "", 3) for answer in waited)
