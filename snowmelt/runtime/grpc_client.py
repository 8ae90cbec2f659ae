"""Calls to another service of ours: token, trace and deadline go along, errors come back as they were raised."""

from typing import TypeVar

import grpc

from snowmelt.runtime import telemetry
from snowmelt.runtime.grpc_errors import from_rpc_error

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_retries", 0),
]


class Remote:
    """A channel to one service and the token that it is called with."""

    def __init__(self, target: str, token: str) -> None:
        self.channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        self._authorization = ("authorization", f"Bearer {token}")

    async def call(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]", request: RequestT, timeout_s: float
    ) -> ResponseT:
        """Calls one unary method of a stub on ``channel``.

        Raises:
            SnowmeltError: as the service raised it; UNAVAILABLE or DEADLINE_EXCEEDED where it did not answer.
        """
        metadata = (self._authorization, *telemetry.inject().items())
        try:
            return await method(request, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def close(self) -> None:
        """Closes the channel."""
        await self.channel.close(None)
