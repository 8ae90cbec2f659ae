"""Wiring: the replica, the releases, one listener and the ops listener; all of it closed again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from services.ranker.adapters.releases import SERVICE, FollowedReleases
from services.ranker.config import RankerSettings
from services.ranker.policies import POLICIES
from services.ranker.ports import Items
from services.ranker.rank import RankCandidates
from services.ranker.servicer import RankerServicer
from snowmelt.api.ranker.v1 import ranker_pb2_grpc
from snowmelt.contracts.clock import Clock
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime import metrics, telemetry
from snowmelt.runtime.grpc_server import Servicer, serve, settle
from snowmelt.runtime.ops import OpsServer
from snowmelt.runtime.work import Workbench

GAUGES_S = 2.0
GRACE_S = 5.0


@dataclass(frozen=True)
class Addresses:
    """Where a ranker answers, ``host:port`` with the ports that were bound."""

    address: str
    ops_address: str


async def main(stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set."""
    settings = RankerSettings.load()
    telemetry.setup(SERVICE, settings)
    async with running(settings):
        settle()
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: RankerSettings) -> AsyncIterator[Addresses]:
    """A ranker for the time of the block.

    Raises:
        ConfigError, AddressTaken: it cannot start; the message says what to do.
    """
    views = LiveViews.load(settings.views_path)
    async with contextlib.AsyncExitStack() as stack:
        items = ItemReplica(settings.redis_url, views)
        clock = Clock(settings.clock_offset_ms)
        releases = FollowedReleases(settings.releases_url, items, clock, settings.release_poll_s)
        items.on_content(lambda _keys: releases.refresh())
        items.on_views(releases.retry)
        items.start()
        stack.callback(items.stop)
        stack.push_async_callback(asyncio.to_thread, releases.stop)
        following = asyncio.create_task(_follow(releases, items))
        stack.callback(following.cancel)
        workers = stack.enter_context(ThreadPoolExecutor(settings.workers, thread_name_prefix="rank"))

        def missing() -> list[str]:
            return items.missing(settings.replica_age_ms_max) + releases.missing()

        servicer = RankerServicer(RankCandidates(releases, items, Workbench(workers)), releases, items)
        add = ranker_pb2_grpc.add_RankerServiceServicer_to_server
        server = await serve([Servicer(add, servicer)], POLICIES, settings.address, settings, missing=missing)
        stack.push_async_callback(server.stop, GRACE_S)
        # Last, since whoever asks for its health takes the answer for the door, too.
        ops = OpsServer(settings.ops_address, missing, settings)
        ops.start()
        stack.callback(ops.stop)
        gauges = asyncio.create_task(_gauges(releases, items))
        stack.callback(gauges.cancel)
        yield Addresses(server.address, ops.address)


async def _follow(releases: FollowedReleases, items: Items) -> None:
    """Opens releases once the items are there, so that no request pays for putting the one over the other."""
    while items.age_ms() is None:
        await asyncio.sleep(0.05)
    releases.start()


async def _gauges(releases: FollowedReleases, items: Items) -> None:
    while True:
        releases.set_gauges()
        if (age_ms := items.age_ms()) is not None:
            metrics.FEATURE_AGE_SECONDS.labels(SERVICE).set(age_ms / 1000)
        await asyncio.sleep(GAUGES_S)
