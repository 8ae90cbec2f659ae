"""A whole gateway for tests, in a thread with an event loop of its own: real Redis and broker, stand-ins for the hops.

The stand-ins speak the real protos behind the real server of the runtime, and do as they are told: answer, be late,
fail, answer wrongly, or be gone.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np

from services.gateway.config import GatewaySettings
from services.gateway.server import Gateway, running
from snowmelt.api.events.v1.events_pb2 import CatalogChange, Event, ItemUpsert, ItemWithdrawal
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.client import AdminClient, Client
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.features.user import finish_user
from snowmelt.featurestore import names
from snowmelt.featurestore.store import StateStore
from snowmelt.runtime import telemetry
from snowmelt.runtime.auth import Policy, Role, Tokens
from snowmelt.runtime.grpc_server import GrpcServer, Servicer, serve
from tests.fixtures.writes import fences_after, one_range

T = TypeVar("T")

ITEMS = [f"i{n}" for n in range(12)]
CATEGORIES = (("Drama", "War"), ("Comedy",), ("Comedy", "Romance"))
NOW_MS = 1_700_000_000_000
SOURCES = ("vectors", "popularity_7d")
POLICIES = {
    f"/snowmelt.api.{part}.v1.{part.title()}Service/{method}": Policy(Role.SERVICE, deadline_ms=5000)
    for part, methods in (("retrieval", ("Retrieve",)), ("ranker", ("Rank",)))
    for method in (*methods, "GetLoadedReleases")
}


@dataclass
class Behaviour:
    """What a stand-in does with the next calls."""

    releases: list[str] = field(default_factory=lambda: ["r2", "r1"])
    late_s: float = 0.0
    fails: Reason | None = None
    wrong: str = ""
    calls: int = 0
    asked: Any = None
    parents: list[str] = field(default_factory=list)

    async def act(self, request: Any) -> None:
        """Counts the call, then waits or fails as told."""
        self.calls += 1
        self.asked = request
        self.parents.append(telemetry.trace_id())
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self.fails:
            raise SnowmeltError(self.fails, "told to fail")


class Retrieval(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Proposes every item that is not excluded, in order of the catalogue, to a user whose state can be read."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    async def Retrieve(  # noqa: N802
        self, request: retrieval_pb2.RetrieveRequest, context: Any
    ) -> retrieval_pb2.RetrieveResponse:
        await self.behaviour.act(request)
        user = PackedUserState(request.user.entity, request.user.profile, request.user.seen, request.user.views_hash)
        finish_user(default_views(), user, request.as_of_ms)
        proposed = [i for i in ITEMS if i not in request.exclude_item_ids][: request.limit]
        n = len(proposed)
        ranks = np.zeros((n, 2), "<u2")
        ranks[:, 0] = np.arange(1, n + 1)
        scores = np.where(ranks > 0, 1.0, np.nan).astype("<f4")
        keys = item_keys(DEFAULT_TENANT, proposed).astype("<u8").tobytes()
        return retrieval_pb2.RetrieveResponse(
            release_id="another" if self.behaviour.wrong == "release" else request.release_id,
            candidates=retrieval_pb2.Candidates(
                item_keys=keys[:-8] if self.behaviour.wrong == "short" else keys,
                sources=SOURCES,
                scores=scores.tobytes(),
                ranks=ranks.tobytes(),
            ),
            stages=[retrieval_pb2.Stage(name="retrieval.vectors", duration_ms=1.0)],
        )

    async def GetLoadedReleases(  # noqa: N802
        self, request: Any, context: Any
    ) -> retrieval_pb2.GetLoadedReleasesResponse:
        return retrieval_pb2.GetLoadedReleasesResponse(release_ids=self.behaviour.releases)


class Ranker(ranker_pb2_grpc.RankerServiceServicer):
    """Turns the order round."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    async def Rank(self, request: ranker_pb2.RankRequest, context: Any) -> ranker_pb2.RankResponse:  # noqa: N802
        await self.behaviour.act(request)
        n = len(request.candidates.item_keys) // 8
        scores = np.arange(n, dtype="<f4")
        if self.behaviour.wrong == "nan":
            scores[0] = np.nan
        parts = [
            ranker_pb2.Contribution(feature="interactions_7d", value=3.0, contribution=0.5),
            ranker_pb2.Contribution(feature="price_ratio", value=float("nan"), contribution=-0.1),
        ]
        return ranker_pb2.RankResponse(
            release_id="another" if self.behaviour.wrong == "release" else request.release_id,
            scores=scores.tobytes()[:-4] if self.behaviour.wrong == "short" else scores.tobytes(),
            explanations=[
                ranker_pb2.Explanation(candidate=c, contributions=parts) for c in range(min(n, request.explain))
            ],
            stages=[retrieval_pb2.Stage(name="ranker.trees", duration_ms=1.0)],
        )

    async def GetLoadedReleases(self, request: Any, context: Any) -> ranker_pb2.GetLoadedReleasesResponse:  # noqa: N802
        return ranker_pb2.GetLoadedReleasesResponse(release_ids=self.behaviour.releases)


class House:
    """The gateway, its stand-ins and its clients; every method may be called from the test's thread."""

    def __init__(self, folder: Path, redis_url: str, bootstrap: str, **settings: Any) -> None:
        self.retrieval, self.ranker = Behaviour(), Behaviour()
        self.folder, self.views = folder, default_views()
        self.views.dump(folder / "views.json")
        self._given = {"redis_url": redis_url, "kafka_bootstrap": bootstrap, **settings}
        self._stack = AsyncExitStack()
        self._servers: dict[str, GrpcServer] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.gateway: Gateway = self.run(self._start())
        self.tokens = Tokens.load(str(folder / "tokens.json"))
        self.store = StateStore(redis_url, self.views)
        self._offsets = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        """Ends everything."""

        async def stop() -> None:
            await self._stack.aclose()
            for server in self._servers.values():
                await server.stop(0)

        self.run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _start(self) -> Gateway:
        addresses = {}
        for name in ("retrieval", "ranker"):
            addresses[name] = await self._serve(name, "127.0.0.1:0")
        chosen = {f"{door}_address": "127.0.0.1:0" for door in ("grpc", "rest", "admin", "admin_grpc", "ops")}
        targets = {f"{name}_target": address for name, address in addresses.items()}
        self.settings = GatewaySettings(
            **{"state_dir": self.folder, "budget_ms": 1000, **chosen, **targets, **self._given}
        )
        telemetry.setup("gateway", self.settings)
        return await self._stack.enter_async_context(running(self.settings))

    async def _serve(self, name: str, address: str) -> str:
        settings = GatewaySettings(state_dir=self.folder)
        add, servicer = {
            "retrieval": (retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server, Retrieval(self.retrieval)),
            "ranker": (ranker_pb2_grpc.add_RankerServiceServicer_to_server, Ranker(self.ranker)),
        }[name]
        server = await serve([Servicer(add, servicer)], POLICIES, address, settings)
        self._servers[name] = server
        return server.address

    def take_down(self, name: str) -> None:
        """Ends a stand-in: its port refuses connections."""
        self.run(self._servers[name].stop(0))

    def bring_back(self, name: str) -> None:
        """Starts it again on the same port."""
        self.run(self._serve(name, self._servers[name].address))

    def rest(self, role: Role | None = Role.PUBLIC, *, admin: bool = False) -> httpx.Client:
        """A client of the REST door."""
        headers = {"authorization": f"Bearer {self.tokens.of(role)}"} if role else {}
        address = self.gateway.admin_address if admin else self.gateway.rest_address
        return httpx.Client(base_url=f"http://{address}", headers=headers, timeout=10)

    def client(self) -> Client:
        """A client of the gRPC door."""
        return Client(self.gateway.grpc_address, token=self.tokens.of(Role.PUBLIC))

    def admin(self) -> AdminClient:
        """A client of the admin gRPC door."""
        return AdminClient(self.gateway.admin_grpc_address, token=self.tokens.of(Role.ADMIN))

    def apply(self, rows: Rows) -> None:
        """Folds rows into the online store, as the feature lane does."""
        writes: dict[int, list[tuple[int, str, bytes]]] = {}
        for place, view in enumerate(self.views.views.values()):
            folded = view.fold(rows)
            for entity, state in zip(folded.entities, folded.states, strict=True):
                writes.setdefault(entity_bucket(DEFAULT_TENANT, entity), []).append((place, entity, state))
        for bucket, deltas in writes.items():
            self._offsets += 1
            topic = f"{rows.topic}-{self._offsets}"
            assert fences_after(self.store, one_range(bucket, "test", topic, 0, 0, 1, deltas)) == [1]

    def upsert(self, items: Sequence[str], **content: Any) -> None:
        """Puts items into the online store's catalogue."""
        changes = [
            CatalogChange(
                upsert=ItemUpsert(
                    tenant=DEFAULT_TENANT,
                    item_id=item,
                    **{
                        "event_time_ms": NOW_MS + n,
                        "title": f"The {item}",
                        "categories": CATEGORIES[n % len(CATEGORIES)],
                        "price": 2.0 + n,
                        "available_from_ms": NOW_MS,
                        **content,
                    },
                )
            )
            for n, item in enumerate(items)
        ]
        self.apply(Rows.from_catalog(changes, [c.SerializeToString() for c in changes]))

    def withdraw(self, item: str) -> None:
        """Takes an item out of the online store's catalogue."""
        change = CatalogChange(
            withdrawal=ItemWithdrawal(tenant=DEFAULT_TENANT, item_id=item, event_time_ms=NOW_MS + 10_000)
        )
        self.apply(Rows.from_catalog([change], [change.SerializeToString()]))

    def damage(self, entity: str) -> None:
        """Spoils the stored profile of a user or a session."""
        bucket = entity_bucket(DEFAULT_TENANT, entity)
        self.store.client.set(
            names.state_prefix(DEFAULT_TENANT, bucket, self.store.generation, "user_profile") + entity, b"\x00\x00"
        )

    def did(self, user: str, *steps: tuple[str, str], session: str = "") -> None:
        """Puts (type, item) events of a user into the online store, newest last, the last one just now."""
        now = time.time_ns() // 1_000_000
        events = [
            Event(
                tenant=DEFAULT_TENANT, event_id=f"{user}{n}", user_id=user, session_id=session, item_id=item, type=kind,
                event_time_ms=now - 1000 * (len(steps) - n),
                categories=CATEGORIES[ITEMS.index(item) % len(CATEGORIES)] if item in ITEMS else (),
                price=2.0 + ITEMS.index(item) if item in ITEMS else None,
            )
            for n, (kind, item) in enumerate(steps)
        ]  # fmt: skip
        self.apply(Rows.from_events(events, self.views))


def eventually(check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """Asks again and again until the answer is true; returns it."""
    ends = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < ends, "it did not become true in time"
        time.sleep(0.02)
    return found
