"""The gRPC server and client: who is let in, what is refused and how it is said, deadlines, traces, health."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime import grpc_server, telemetry
from snowmelt.runtime.auth import Role
from snowmelt.runtime.bind import AddressTaken
from snowmelt.runtime.config import ConfigError, Settings
from snowmelt.runtime.grpc_server import Servicer, serve
from tests.runtime.conftest import POLICIES, PREFIX, Answering, Served, ask, served


def run(settings: Settings, story: Callable[[Served], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with served(settings) as one:
            await story(one)

    asyncio.run(whole())


async def _raw(one: Served, method: str, body: bytes, metadata: tuple[tuple[str, str], ...]) -> grpc.aio.AioRpcError:
    channel = grpc.aio.insecure_channel(one.server.address)
    try:
        await channel.unary_unary(method)(body, metadata=metadata, timeout=2)
    except grpc.aio.AioRpcError as error:
        return error
    finally:
        await channel.close(None)
    raise AssertionError("the call was answered")


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (_bearer("nope"), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Basic x"),), grpc.StatusCode.UNAUTHENTICATED),
        (_bearer("nope") * 2, grpc.StatusCode.INVALID_ARGUMENT),
        (_bearer("x" * 5000), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_a_stranger_is_refused_before_anything_is_parsed(settings: Settings, metadata: Any, code: Any) -> None:
    async def story(one: Served) -> None:
        error = await _raw(one, PREFIX + "Rank", b"\xff\xff\xff", metadata)
        assert error.code() is code
        assert one.servicer.calls == 0

    run(settings, story)


def test_another_role_is_refused(settings: Settings) -> None:
    async def story(one: Served) -> None:
        for role in (Role.PUBLIC, Role.OPS, Role.ADMIN):
            error = await _raw(one, PREFIX + "Rank", ask().SerializeToString(), _bearer(one.tokens.of(role)))
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED

    run(settings, story)


def test_bytes_that_are_no_message_are_the_callers_fault(settings: Settings) -> None:
    async def story(one: Served) -> None:
        error = await _raw(one, PREFIX + "Rank", b"\xff\xff\xff", _bearer(one.tokens.of(Role.SERVICE)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(settings, story)


def test_a_status_carries_reason_domain_and_fields(settings: Settings) -> None:
    async def story(one: Served) -> None:
        error = await _raw(one, PREFIX + "Rank", b"", _bearer(one.tokens.of(Role.SERVICE)))
        raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
        status = rpc_status.status_pb2.Status.FromString(raw)
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        assert status.details[0].Unpack(info)
        assert status.details[1].Unpack(bad)
        assert (info.reason, info.domain) == ("invalid_field", "snowmelt")
        assert {v.field for v in bad.field_violations} == {"tenant", "user", "candidates", "as_of_ms", "release_id"}

    run(settings, story)


@pytest.mark.parametrize(
    ("release_id", "timeout_s", "reason"),
    [("broken", 2.0, Reason.INTERNAL), ("slow", 0.1, Reason.DEADLINE_EXCEEDED), ("", 2.0, Reason.INVALID_FIELD)],
)
def test_errors_come_back_as_they_were_raised(
    settings: Settings, release_id: str, timeout_s: float, reason: Reason
) -> None:
    async def story(one: Served) -> None:
        remote = one.remote()
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        with pytest.raises(SnowmeltError) as caught:
            await remote.call(stub.Rank, ask(release_id), timeout_s)
        assert caught.value.reason is reason
        assert "secret" not in caught.value.detail
        await remote.close()

    run(settings, story)


def test_without_a_deadline_the_policys_holds_and_a_long_one_is_cut(settings: Settings) -> None:
    async def story(one: Served) -> None:
        remote = one.remote()
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        metadata = _bearer(one.tokens.of(Role.SERVICE))
        answer = await stub.Rank(ask(), metadata=metadata)
        assert 0 < answer.replica_age_ms <= 300
        answer = await stub.Rank(ask(), metadata=metadata, timeout=3600)
        assert 300 < answer.replica_age_ms <= 5000
        await remote.close()

    run(settings, story)


def test_an_unknown_method_and_a_message_too_large(settings: Settings) -> None:
    async def story(one: Served) -> None:
        metadata = _bearer(one.tokens.of(Role.SERVICE))
        assert (await _raw(one, "/nope.Service/X", b"", metadata)).code() is grpc.StatusCode.UNIMPLEMENTED
        error = await _raw(one, PREFIX + "Rank", b"x" * 5_000_000, metadata)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = await _raw(one, PREFIX + "Rank", b"", (*metadata, ("x-much", "y" * 20_000)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(settings, story)


def test_a_service_of_ours_continues_the_trace_and_a_stranger_does_not(settings: Settings) -> None:
    async def story(one: Served) -> None:
        remote = one.remote()
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        with telemetry.span("root"):
            answer = await remote.call(stub.Rank, ask(), 2)
            assert answer.release_id == telemetry.trace_id()
        malformed = (*_bearer(one.tokens.of(Role.SERVICE)), ("traceparent", "00-zz-1-01"))
        answer = await stub.Rank(ask(), metadata=malformed)
        assert len(answer.release_id) == 32
        await remote.close()

    run(settings, story)


def test_more_calls_than_there_is_room_for_are_unavailable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowmelt.runtime.grpc_server.MAX_CALLS", 4)

    async def story(one: Served) -> None:
        remote = one.remote()
        stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)
        calls = (remote.call(stub.Rank, ask("slow"), 0.5) for _ in range(7))
        reasons = [
            e.reason for e in await asyncio.gather(*calls, return_exceptions=True) if isinstance(e, SnowmeltError)
        ]
        assert reasons.count(Reason.UNAVAILABLE) == 3
        assert reasons.count(Reason.DEADLINE_EXCEEDED) == 4
        answer: ranker_pb2.RankResponse = await remote.call(stub.Rank, ask(), 2)
        assert answer.release_id
        await remote.close()

    run(settings, story)


def test_health_is_open_and_says_not_serving_at_the_end(settings: Settings) -> None:
    async def story(one: Served) -> None:
        async with grpc.aio.insecure_channel(one.server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            name = "snowmelt.api.ranker.v1.RankerService"
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == 1
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Check(health_pb2.HealthCheckRequest(service="nope"))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            await one.server.health.enter_graceful_shutdown()
            assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == 2

    run(settings, story)


def test_a_service_that_lacks_something_is_not_serving_and_the_server_lives(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snowmelt.runtime.grpc_server.HEALTH_S", 0.05)
    lacks = ["the items have not been read yet"]

    async def story() -> None:
        door = Servicer(ranker_pb2_grpc.add_RankerServiceServicer_to_server, Answering())
        server = await serve([door], POLICIES, "127.0.0.1:0", settings, missing=lambda: lacks)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            async def said(name: str) -> int:
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=2)
                return int(answer.status)

            name = "snowmelt.api.ranker.v1.RankerService"
            assert (await said(name), await said("")) == (2, 1)
            for reasons, status in (([], 1), (["no release is loaded"], 2), ([], 1)):
                lacks[:] = reasons
                async with asyncio.timeout(20):
                    while await said(name) != status:
                        await asyncio.sleep(0.02)
                assert await said("") == 1
            await server.health.enter_graceful_shutdown()
            await grpc_server._say(server.health, [name], tuple)  # a round that was on its way
            assert (await said(name), await said("")) == (2, 2)
        await server.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize("embedded", [False, True])
def test_reflection_is_there_in_embedded_mode_alone_and_with_a_token(settings: Settings, embedded: bool) -> None:
    async def codes(one: Served) -> list[grpc.StatusCode]:
        found = []
        async with grpc.aio.insecure_channel(one.server.address) as channel:
            for metadata in ((), _bearer(one.tokens.of(Role.PUBLIC))):
                request = reflection_pb2.ServerReflectionRequest(list_services="")
                call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                    iter([request]), metadata=metadata
                )
                try:
                    async for _ in call:
                        pass
                except grpc.aio.AioRpcError:
                    pass
                found.append(await call.code())
        return found

    async def story(one: Served) -> None:
        wanted = (
            [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK] if embedded else [grpc.StatusCode.UNIMPLEMENTED] * 2
        )
        assert await codes(one) == wanted

    run(settings.model_copy(update={"embedded": embedded}), story)


def test_a_method_without_a_policy_row_cannot_be_served(settings: Settings) -> None:
    add = ranker_pb2_grpc.add_RankerServiceServicer_to_server
    rows = {name: row for name, row in POLICIES.items() if not name.endswith("Rank")}
    with pytest.raises(ConfigError, match=r"no policy row for .*/Rank$"):
        asyncio.run(_start(add, rows, "127.0.0.1:0", settings))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:80"])
def test_a_bind_beyond_loopback_is_refused(settings: Settings, address: str) -> None:
    add = ranker_pb2_grpc.add_RankerServiceServicer_to_server
    with pytest.raises(ConfigError, match="beyond loopback"):
        asyncio.run(_start(add, POLICIES, address, settings))


def test_a_port_that_is_taken_is_one_clear_line(settings: Settings) -> None:
    async def story(one: Served) -> None:
        with pytest.raises(AddressTaken, match=r"^127\.0\.0\.1:\d+ cannot be bound"):
            await _start(ranker_pb2_grpc.add_RankerServiceServicer_to_server, POLICIES, one.server.address, settings)

    run(settings, story)


async def _start(add: Any, rows: Any, address: str, settings: Settings) -> None:
    server = await serve([Servicer(add, Answering())], rows, address, settings)
    await server.stop(0)
