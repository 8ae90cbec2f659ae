"""A small service of ours behind the runtime's server: the ranker's protos, answers made up per release id."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2
from snowmelt.runtime import deadline, telemetry
from snowmelt.runtime.auth import Policy, Role, Tokens
from snowmelt.runtime.config import Settings
from snowmelt.runtime.grpc_client import Remote
from snowmelt.runtime.grpc_server import GrpcServer, Servicer, serve

PREFIX = "/snowmelt.api.ranker.v1.RankerService/"
POLICIES = {PREFIX + "Rank": Policy(Role.SERVICE, deadline_ms=300), PREFIX + "GetLoadedReleases": Policy(Role.ADMIN)}


class Answering(ranker_pb2_grpc.RankerServiceServicer):
    def __init__(self) -> None:
        self.calls = 0

    async def Rank(self, request: ranker_pb2.RankRequest, context: Any) -> ranker_pb2.RankResponse:  # noqa: N802
        self.calls += 1
        if request.release_id == "slow":
            await asyncio.sleep(20)
        if request.release_id == "broken":
            raise ValueError("a secret of ours")
        return ranker_pb2.RankResponse(release_id=telemetry.trace_id(), replica_age_ms=deadline.remaining_s() * 1000)

    async def GetLoadedReleases(  # noqa: N802
        self, request: Any, context: Any
    ) -> ranker_pb2.GetLoadedReleasesResponse:
        return ranker_pb2.GetLoadedReleasesResponse(release_ids=["a"])


def ask(release_id: str = "ok") -> ranker_pb2.RankRequest:
    return ranker_pb2.RankRequest(
        tenant="default",
        user=retrieval_pb2.UserState(entity="u"),
        candidates=retrieval_pb2.Candidates(),
        as_of_ms=1_700_000_000_000,
        release_id=release_id,
    )


class Served:
    def __init__(self, server: GrpcServer, tokens: Tokens, servicer: Answering) -> None:
        self.server, self.tokens, self.servicer = server, tokens, servicer

    def remote(self, role: Role = Role.SERVICE) -> Remote:
        return Remote(self.server.address, self.tokens.of(role))


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Served]:
    telemetry.setup("test", settings)
    servicer = Answering()
    add = ranker_pb2_grpc.add_RankerServiceServicer_to_server
    server = await serve([Servicer(add, servicer)], POLICIES, "127.0.0.1:0", settings)
    try:
        yield Served(server, Tokens.load_or_create(settings.tokens_path), servicer)
    finally:
        await server.stop(0.1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)
