"""What every unary call passes through: who asks, its message, room, trace, decoding, deadline, answer, errors."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import Message

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime import deadline, metrics, telemetry, validation
from snowmelt.runtime.auth import Policies, Policy, Role, Tokens, set_caller
from snowmelt.runtime.grpc_errors import abort

_LOG = logging.getLogger(__name__)

MESSAGE_S = 10.0
"""How long the message of a call may take to arrive: one that never comes holds nothing for ever."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = Callable[[Any, Any], Awaitable[Message]]
RawBehaviour: TypeAlias = Callable[[Context], Awaitable[bytes]]
Deserializer: TypeAlias = Callable[[bytes], Message]


@dataclass
class Room:
    """How many calls may be answered at once; a further one is turned away at once."""

    limit: int
    taken: int = 0

    def __enter__(self) -> None:
        if self.taken >= self.limit:
            raise SnowmeltError(Reason.UNAVAILABLE, "too many calls at once; try again in a second")
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


class Door:
    """Wraps the methods of the servicers; nothing of a message is read before its caller is known."""

    def __init__(self, tokens: Tokens, policies: Policies, room: Room) -> None:
        self._tokens, self._policies, self._room = tokens, policies, room

    def wrap(self, method: str, handler: Handler) -> Handler:
        """The same method behind the door; a streaming one (health, reflection) is only authorised."""
        policy = self._policies[method]
        if handler.unary_unary is None:
            return self._wrap_stream(policy, handler)
        decode = cast(Deserializer, handler.request_deserializer)
        return _unary_handler(self._unary(method, policy, cast(Behaviour, handler.unary_unary), decode))

    def unknown(self, method: str) -> Handler:
        """What a method that does not exist answers: UNIMPLEMENTED, whoever asks."""

        async def answer(context: Context) -> bytes:
            metrics.REQUESTS.labels("grpc", "unknown", Reason.UNKNOWN_METHOD.code).inc()
            await abort(context, SnowmeltError(Reason.UNKNOWN_METHOD, f"there is no method {method[:128]}"))
            return b""

        return _unary_handler(answer)

    def _unary(self, method: str, policy: Policy, behaviour: Behaviour, decode: Deserializer) -> RawBehaviour:
        name = method.rpartition("/")[2]
        seconds = metrics.REQUEST_SECONDS.labels("grpc", name)

        async def answer(context: Context) -> bytes:
            started = time.perf_counter()
            reason = "cancelled"
            try:
                headers, authorization = _metadata(context)
                caller = self._tokens.authorize(authorization, policy)
                set_caller(caller)
                raw = await _read(context)
                trusted = caller.role is Role.SERVICE
                with self._room, telemetry.server_span(name, headers, trusted=trusted):
                    reason, response = await _answer(raw, context, policy, behaviour, decode)
                    return response
            except SnowmeltError as error:
                reason = error.reason.code
                await abort(context, error)
                return b""
            finally:
                metrics.REQUESTS.labels("grpc", name, reason).inc()
                seconds.observe(time.perf_counter() - started)

        return answer

    def _wrap_stream(self, policy: Policy, handler: Handler) -> Handler:
        inner = cast(Callable[[Any, Any], Any], handler.unary_stream or handler.stream_stream)

        async def answer(request: Any, context: Context) -> None:
            try:
                self._tokens.authorize(_metadata(context)[1], policy)
            except SnowmeltError as error:
                await abort(context, error)
            result = inner(request, context)
            if hasattr(result, "__aiter__"):
                async for response in result:
                    await context.write(response)
            else:
                await result

        make: Any = grpc.unary_stream_rpc_method_handler
        if handler.unary_stream is None:
            make = grpc.stream_stream_rpc_method_handler
        return cast(Handler, make(answer, handler.request_deserializer, handler.response_serializer))


def _unary_handler(answer: RawBehaviour) -> Handler:
    # As a stream of one message: grpcio would wait for the message of a unary call before anybody is asked who calls.
    async def one(_requests: object, context: Context) -> bytes:
        return await answer(context)

    make: Any = grpc.stream_unary_rpc_method_handler
    return cast(Handler, make(one))


async def _read(context: Context) -> bytes:
    try:
        async with asyncio.timeout(MESSAGE_S):
            raw = await cast(Any, context).read()
    except TimeoutError:
        raise SnowmeltError(Reason.DEADLINE_EXCEEDED, f"the message did not come within {MESSAGE_S} s") from None
    if not isinstance(raw, bytes):
        raise SnowmeltError(Reason.MALFORMED_MESSAGE, "there is no message")
    return raw


async def _answer(
    raw: bytes, context: Context, policy: Policy, behaviour: Behaviour, decode: Deserializer
) -> tuple[str, bytes]:
    left = context.time_remaining()
    try:
        async with deadline.within(policy.deadline_ms / 1000 if left is None else left):
            response = await behaviour(validation.decode(decode, raw, policy.checked), context)
        return "ok", response.SerializeToString()
    except SnowmeltError:
        raise
    except Exception:  # noqa: BLE001 whatever it is, the caller gets a trace id and the log the rest
        _LOG.exception("a call failed by a fault of ours")
        detail = f"a fault of ours; trace {telemetry.trace_id()}"
        raise SnowmeltError(Reason.INTERNAL, detail) from None


def _metadata(context: Context) -> tuple[Mapping[str, str], list[str]]:
    pairs = [(k, v) for k, v in context.invocation_metadata() or () if isinstance(v, str)]
    return dict(pairs), [v for k, v in pairs if k == "authorization"]
