"""Many calls that do not end, of one who has no token: nobody else notices; and what a full server's words become."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc

from snowmelt.api.ranker.v1 import ranker_pb2_grpc
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import Settings
from snowmelt.runtime.grpc_errors import from_rpc_error
from snowmelt.runtime.grpc_server import MAX_CALLS
from tests.runtime.conftest import PREFIX, Served, ask, served

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
CHECK = "/grpc.health.v1.Health/Check"


def run(settings: Settings, story: Callable[[Served], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with served(settings) as one:
            await story(one)

    asyncio.run(whole())


async def _crowd(
    one: Served, method: str, connections: int, calls: int, token: str = ""
) -> tuple[list[Any], list[Any]]:
    """Calls that send their headers and no message."""
    channels = [grpc.aio.insecure_channel(one.server.address, options=OWN_CONNECTION) for _ in range(connections)]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    started = [channel.stream_unary(method)(metadata=metadata) for channel in channels for _ in range(calls)]
    if method == CHECK:  # which waits for its message, whoever asks: a task of the server's each
        before, arriving = len(asyncio.all_tasks()), connections * min(calls, 2 * MAX_CALLS)
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) < before + arriving:
                await asyncio.sleep(0.02)
    elif not token:
        assert grpc.StatusCode.OK not in {await call.code() for call in started}
    return channels, started


async def _answered(one: Served) -> bool:
    remote = one.remote()
    stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
    answer = await remote.call(stub.Rank, ask(), 2)
    await remote.close()
    return bool(answer.release_id)


@pytest.mark.parametrize("method", [PREFIX + "Rank", CHECK, "/nope.Service/X"])
@pytest.mark.parametrize(("connections", "calls"), [(1, 3 * MAX_CALLS), (12, MAX_CALLS // 4)])
def test_calls_without_a_message_keep_nobody_out(settings: Settings, method: str, connections: int, calls: int) -> None:
    async def story(one: Served) -> None:
        channels, started = await _crowd(one, method, connections, calls)
        assert await _answered(one)
        for call in started:
            call.cancel()
        await asyncio.gather(*(channel.close(None) for channel in channels))

    run(settings, story)


def test_a_stranger_need_not_be_waited_for(settings: Settings) -> None:
    async def story(one: Served) -> None:
        channels, started = await _crowd(one, PREFIX + "Rank", 1, 5)
        assert [await call.code() for call in started] == [grpc.StatusCode.UNAUTHENTICATED] * 5
        await channels[0].close(None)

    run(settings, story)


def test_a_message_that_does_not_come_ends_the_call(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowmelt.runtime.grpc_call.MESSAGE_S", 0.2)

    async def story(one: Served) -> None:
        channels, started = await _crowd(one, PREFIX + "Rank", 1, 5, one.tokens.of(Role.SERVICE))
        assert [await call.code() for call in started] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 5
        none = channels[0].stream_unary(PREFIX + "Rank")(
            metadata=(("authorization", f"Bearer {one.tokens.of(Role.SERVICE)}"),)
        )
        await none.done_writing()
        assert await none.code() is grpc.StatusCode.INVALID_ARGUMENT
        await channels[0].close(None)

    run(settings, story)


@pytest.mark.parametrize("method", ["Watch", "List"])
def test_health_has_nothing_that_does_not_end(settings: Settings, method: str) -> None:
    assert hasattr(health_pb2_grpc.HealthServicer, method)

    async def story(one: Served) -> None:
        async with grpc.aio.insecure_channel(one.server.address) as channel:
            calls = [channel.unary_stream(f"/grpc.health.v1.Health/{method}")(b"") for _ in range(MAX_CALLS)]
            assert await _answered(one)
            assert {await call.code() for call in calls} == {grpc.StatusCode.UNIMPLEMENTED}

    run(settings, story)


def _refusal(code: grpc.StatusCode, said: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), said)


@pytest.mark.parametrize(
    ("code", "said", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", Reason.UNAVAILABLE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", Reason.UNAVAILABLE),
        (grpc.StatusCode.UNAVAILABLE, "failed to connect", Reason.UNAVAILABLE),
        (grpc.StatusCode.DATA_LOSS, "what is this", Reason.INTERNAL),
    ],
)
def test_a_refusal_in_words_that_are_not_ours_goes_by_its_code(code: Any, said: str, reason: Reason) -> None:
    error = from_rpc_error(_refusal(code, said))
    assert (error.reason, error.detail) == (reason, said)


def test_a_message_too_large_is_so_called_by_the_client(settings: Settings) -> None:
    async def story(one: Served) -> None:
        remote = one.remote()
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        request = ask()
        request.user.profile = b"x" * 5_000_000
        with pytest.raises(SnowmeltError) as caught:
            await remote.call(stub.Rank, request, 5)
        assert caught.value.reason is Reason.BODY_TOO_LARGE
        await remote.close()

    run(settings, story)
