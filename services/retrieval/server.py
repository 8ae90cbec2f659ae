"""Wiring: the replica, the releases over it, the door, and what runs beside it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.retrieval.adapters.releases import WatchedReleases
from services.retrieval.config import RetrievalSettings
from services.retrieval.policies import POLICIES
from services.retrieval.ports import Items
from services.retrieval.retrieve import CandidateFinder
from services.retrieval.servicer import RetrievalServicer
from snowmelt.api.retrieval.v1 import retrieval_pb2_grpc
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.releases import ReleaseStore
from snowmelt.retrieval.index import use_threads
from snowmelt.runtime import metrics, telemetry
from snowmelt.runtime.grpc_server import Servicer, serve, settle
from snowmelt.runtime.ops import OpsServer
from snowmelt.runtime.work import Workbench

_LOG = logging.getLogger(__name__)

WARM_INTERVAL_S = 4.0
"""Less than half a tile of popularity, so that each tile is finished before a request asks for it."""


@dataclass(frozen=True)
class Retrieval:
    """A retrieval service that answers: where (``host:port`` with the ports that were bound)."""

    address: str
    ops_address: str


async def main(stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set."""
    settings = RetrievalSettings.load()
    telemetry.setup("retrieval", settings)
    async with running(settings):
        settle()
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: RetrievalSettings) -> AsyncIterator[Retrieval]:
    """A retrieval service for the time of the block.

    Raises:
        ConfigError, AddressTaken: it cannot start; the message says what to do.
    """
    use_threads(1)
    async with contextlib.AsyncExitStack() as stack:
        views = LiveViews.load(settings.views_path)
        replica = ItemReplica(settings.redis_url, views)
        releases = WatchedReleases(ReleaseStore(settings.releases_url), replica)
        replica.on_content(lambda _keys: releases.refresh())
        for part in (replica, releases):
            part.start()
            stack.callback(part.stop)
        executor = ThreadPoolExecutor(settings.threads, thread_name_prefix="retrieve")
        stack.callback(executor.shutdown, cancel_futures=True)
        finder = CandidateFinder(releases, replica, views, Workbench(executor))
        warming = asyncio.create_task(_keep_warm(releases, replica, Clock(settings.clock_offset_ms)))
        stack.callback(warming.cancel)

        def missing() -> list[str]:
            return replica.missing(settings.replica_age_ms_max) + releases.missing()

        door = Servicer(retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server, RetrievalServicer(finder))
        server = await serve([door], POLICIES, settings.address, settings, missing=missing)
        stack.push_async_callback(server.stop)
        # Last, since whoever asks for its health takes the answer for the door, too.
        ops = OpsServer(settings.ops_address, missing, settings)
        ops.start()
        stack.callback(ops.stop)
        yield Retrieval(server.address, ops.address)


async def _keep_warm(releases: WatchedReleases, items: Items, clock: Clock) -> None:
    while True:
        if (age_ms := items.age_ms()) is not None:
            metrics.FEATURE_AGE_SECONDS.labels("retrieval").set(age_ms / 1000)
        try:
            await asyncio.to_thread(releases.warm, clock.now_ms())
        except SnowmeltError as error:
            _LOG.warning("popularity could not be counted: %s", error.detail)
        await asyncio.sleep(WARM_INTERVAL_S)
