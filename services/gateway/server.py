"""Wiring: every part of the gateway made once, three listeners opened, all of it closed again."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass

from services.gateway import policies, rest
from services.gateway.adapters.kafka import KafkaLog
from services.gateway.adapters.ranker import GrpcRanker
from services.gateway.adapters.retrieval import GrpcRetrieval
from services.gateway.administer import Administrator
from services.gateway.config import GatewaySettings
from services.gateway.http import GRACE_S, HttpListener
from services.gateway.items import ItemEditor
from services.gateway.pins import ReleasePins
from services.gateway.popularity import Popularity
from services.gateway.readiness import Readiness
from services.gateway.recommend import Parts, Recommender
from services.gateway.record_events import EventRecorder
from services.gateway.servicer import AdminServicer, GatewayServicer
from services.gateway.use_cases import AdminUses, PublicUses
from services.gateway.user_state import UserStateReader
from snowmelt.api.admin.v1 import admin_pb2_grpc
from snowmelt.api.gateway.v1 import gateway_pb2_grpc
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.user_states import AsyncUserStates
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime import telemetry
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.bind import split
from snowmelt.runtime.grpc_client import Remote
from snowmelt.runtime.grpc_server import MiB, Servicer, serve, settle
from snowmelt.runtime.kafka.producer import Producer
from snowmelt.runtime.ops import OpsServer

_LOG = logging.getLogger(__name__)

DELIVERY_TIMEOUT_MS = 4000
REDIS_TIMEOUT_S = 0.25
STATISTICS_S = 3.0
"""The gateway reads them for the list of popular items alone, which is made as often."""


@dataclass(frozen=True)
class Gateway:
    """A gateway that answers: where, by listener and door (``host:port`` with the ports that were bound)."""

    grpc_address: str
    rest_address: str
    admin_address: str
    admin_grpc_address: str
    ops_address: str


async def main(stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set."""
    settings = GatewaySettings.load()
    telemetry.setup("gateway", settings)
    async with running(settings):
        settle()
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A gateway for the time of the block.

    Raises:
        ConfigError, AddressTaken, SnowmeltError: it cannot start; the message says what to do.
    """
    async with contextlib.AsyncExitStack() as stack:
        house = await _furnish(settings, stack)
        yield await _open(settings, house, stack)


@dataclass(frozen=True)
class _House:
    public: PublicUses
    admin: AdminUses
    readiness: Readiness


async def _furnish(settings: GatewaySettings, stack: contextlib.AsyncExitStack) -> _House:
    tokens = Tokens.load_or_create(settings.tokens_path)
    views = LiveViews.load(settings.views_path)
    clock = Clock(settings.clock_offset_ms)
    states = AsyncUserStates(settings.redis_url, views, REDIS_TIMEOUT_S)
    stack.push_async_callback(states.close)
    replica = ItemReplica(settings.redis_url, views, statistics_s=STATISTICS_S)
    replica.start()
    stack.callback(replica.stop)
    popularity = Popularity(replica, clock)
    popularity.start()
    stack.callback(popularity.stop)
    producer = Producer(settings.kafka_bootstrap, "gateway", delivery_timeout_ms=DELIVERY_TIMEOUT_MS)
    stack.push_async_callback(asyncio.to_thread, _close, producer)
    log = KafkaLog(producer, clock)
    remotes = [
        Remote(target, tokens.of(Role.SERVICE)) for target in (settings.retrieval_target, settings.ranker_target)
    ]
    for remote in remotes:
        stack.push_async_callback(remote.close)
    retrieval, ranker = GrpcRetrieval(remotes[0]), GrpcRanker(remotes[1])
    pins = ReleasePins(retrieval.loaded, ranker.loaded)
    await pins.poll()
    _background(stack, pins.run())
    store = ReleaseStore(settings.releases_url)
    readiness = Readiness(pins, replica.age_ms, store, clock)
    _background(stack, readiness.run())
    parts = Parts(states, retrieval, ranker, pins, replica, popularity, log, views, clock)
    recommender = Recommender(parts, settings.candidates, settings.budget_ms, settings.at_once)
    recorder = EventRecorder(views, replica, log, clock)
    editor = ItemEditor(log, clock)
    reader = UserStateReader(states, views, replica, popularity, clock)
    operator = Administrator(store, pins, readiness, clock)
    return _House(
        PublicUses(recommender.recommend, recorder.record, editor.upsert, editor.withdraw, reader.read),
        AdminUses(operator.status, operator.releases, operator.activate, operator.rollback),
        readiness,
    )


async def _open(settings: GatewaySettings, house: _House, stack: contextlib.AsyncExitStack) -> Gateway:
    tokens, tls = Tokens.load_or_create(settings.tokens_path), settings.tls()
    hosts = [*settings.allowed_hosts.split(","), split(settings.rest_address)[0], split(settings.admin_address)[0]]
    public = HttpListener(
        rest.public_app(house.public, tokens, hosts, embedded=settings.embedded), settings.rest_address, tls
    )
    admin = HttpListener(rest.admin_app(house.admin, tokens, hosts), settings.admin_address)
    for listener in (public, admin):
        await listener.start()
        stack.push_async_callback(listener.stop)
    addresses = []
    for add, servicer, rows, address, secured in (
        (gateway_pb2_grpc.add_GatewayServiceServicer_to_server, GatewayServicer(house.public),
         policies.PUBLIC, settings.grpc_address, tls),
        (admin_pb2_grpc.add_AdminServiceServicer_to_server, AdminServicer(house.admin),
         policies.ADMIN, settings.admin_grpc_address, None),
    ):  # fmt: skip
        server = await serve(
            [Servicer(add, servicer)], rows, address, settings,
            tls=secured, max_message_bytes=MiB, missing=house.readiness.own_reasons,
        )  # fmt: skip
        stack.push_async_callback(server.stop, GRACE_S)
        addresses.append(server.address)
    # Last, since whoever asks for its health takes the answer for all doors.
    ops = OpsServer(settings.ops_address, house.readiness.own_reasons, settings)
    ops.start()
    stack.callback(ops.stop)
    return Gateway(addresses[0], public.address, admin.address, addresses[1], ops.address)


def _background(stack: contextlib.AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    stack.callback(task.cancel)


def _close(producer: Producer) -> None:
    try:
        producer.close(GRACE_S)
    except SnowmeltError as error:
        _LOG.warning("some records were not acknowledged before the end: %s", error.detail)
