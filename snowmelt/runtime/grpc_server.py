"""A gRPC server with every limit said: policies, deadlines, sizes, health, and reflection in embedded mode alone."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from snowmelt.runtime import validation
from snowmelt.runtime.auth import Policies, Policy, Role, Tokens, check_policies
from snowmelt.runtime.bind import Tls, bind_address
from snowmelt.runtime.config import Settings
from snowmelt.runtime.grpc_call import Door, Handler, Room

_LOG = logging.getLogger(__name__)

MAX_CALLS = 256
MAX_METADATA_BYTES = 8 * 1024
SWITCH_INTERVAL_S = 0.0005
HEALTH_S = 1.0
MiB = 1024 * 1024

HEALTH_POLICIES = {"/grpc.health.v1.Health/Check": Policy(None)}
NOT_OFFERED = ("/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List")
"""Anybody may ask for health, so that nobody may by asking stay for ever: a probe needs Check alone."""


@dataclass(frozen=True)
class Servicer:
    """A servicer and the generated function that adds it to a server (``add_RankerServiceServicer_to_server``)."""

    add: Callable[[Any, Any], None]
    servicer: object


@dataclass
class GrpcServer:
    """A server that answers; ``address`` has the port that was bound."""

    server: grpc.aio.Server
    health: HealthServicer
    address: str
    saying: asyncio.Task[None]

    async def stop(self, grace_s: float = 5.0) -> None:
        """Says NOT_SERVING, takes no new calls, and lets the running ones end within ``grace_s``."""
        self.saying.cancel()
        await self.health.enter_graceful_shutdown()
        await self.server.stop(grace_s)


def settle() -> None:
    """Tunes a process that has started for answering: what it holds by now is no garbage, and no thread holds it long.

    A full collection of what a service imports takes 0.1 s; a thread at work hands over after 5 ms by default.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()


async def serve(
    servicers: Sequence[Servicer],
    policies: Policies,
    address: str,
    settings: Settings,
    *,
    tls: Tls | None = None,
    max_message_bytes: int = 4 * MiB,
    missing: Callable[[], Sequence[str]] = tuple,
) -> GrpcServer:
    """Starts a server for the servicers on ``address`` (``host:port``, port 0: a free one).

    ``missing`` names what the servicers still lack, as for ``/readyz``: their health is SERVING while it names nothing.
    That of the server itself (no name) is, as long as it answers.

    Raises:
        ConfigError: a method has no policy row, or the address lies beyond loopback and there is no TLS.
        AddressTaken: somebody listens there already.
    """
    validation.require_upb()
    address = bind_address(address, secured=tls is not None)
    healthy = HealthServicer()
    found = _Found()
    for each in (*servicers, Servicer(health_pb2_grpc.add_HealthServicer_to_server, healthy)):
        each.add(each.servicer, found)
    for method in NOT_OFFERED:
        del found.methods[method]
    rows = {**HEALTH_POLICIES, **policies}
    if settings.embedded:
        names = [*found.services, "grpc.reflection.v1alpha.ServerReflection"]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(ReflectionServicer(names), found)
        rows["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"] = Policy(Role.PUBLIC)
    check_policies(found.methods, rows)
    door = Door(Tokens.load_or_create(settings.tokens_path), rows, Room(MAX_CALLS))
    # Without grpcio's own limit of calls: it counts those of strangers, too, and so they could shut everybody else out.
    server = grpc.aio.server(options=_options(max_message_bytes))
    server.add_generic_rpc_handlers((_Methods({m: door.wrap(m, h) for m, h in found.methods.items()}, door),))
    port = server.add_secure_port(address, tls.credentials()) if tls else server.add_insecure_port(address)
    await server.start()
    await _say(healthy, found.services, missing)
    saying = asyncio.create_task(_keep_saying(healthy, found.services, missing))
    return GrpcServer(server, healthy, f"{address.rpartition(':')[0]}:{port}", saying)


async def _keep_saying(healthy: HealthServicer, names: Sequence[str], missing: Callable[[], Sequence[str]]) -> None:
    while True:
        await asyncio.sleep(HEALTH_S)
        await _say(healthy, names, missing)


async def _say(healthy: HealthServicer, names: Sequence[str], missing: Callable[[], Sequence[str]]) -> None:
    try:
        lacking = bool(missing())
    except Exception:  # noqa: BLE001 who cannot tell is not ready, and asks again
        _LOG.exception("what is missing cannot be told")
        lacking = True
    said = health_pb2.HealthCheckResponse.NOT_SERVING if lacking else health_pb2.HealthCheckResponse.SERVING
    for name in names:
        await healthy.set(name, said)


@dataclass
class _Found:
    """Stands in for a server while the generated functions add methods, so that each can be wrapped."""

    methods: dict[str, Handler] = field(default_factory=dict)
    services: list[str] = field(default_factory=list)

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The same methods come by ``add_registered_method_handlers``."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Takes down the methods of one service."""
        self.services.append(service)
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs alone
    def __init__(self, methods: Mapping[str, Handler], door: Door) -> None:
        self._methods, self._door = methods, door

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """The method that is called, or the answer that there is none."""
        method = handler_call_details.method
        return self._methods.get(method) or self._door.unknown(method)


def _options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", 16 * MiB),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA_BYTES),
        # More than there is room for: gRPC breaks off a stream too many, where the room would say why.
        ("grpc.max_concurrent_streams", 2 * MAX_CALLS),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_ping_strikes", 3),
    ]
