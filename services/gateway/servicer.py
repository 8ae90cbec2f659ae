"""gRPC: the generated servicers, each method the use case behind it."""

from services.gateway.use_cases import AdminUses, PublicUses
from snowmelt.api.admin.v1 import admin_pb2 as admin
from snowmelt.api.admin.v1 import admin_pb2_grpc
from snowmelt.api.gateway.v1 import gateway_pb2 as public
from snowmelt.api.gateway.v1 import gateway_pb2_grpc
from snowmelt.runtime.auth import current_caller


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """The public methods."""

    def __init__(self, uses: PublicUses) -> None:
        self._uses = uses

    async def Recommend(  # noqa: N802 the protos' name
        self, request: public.RecommendRequest, _context: object
    ) -> public.RecommendResponse:
        """A slate for a user or an anonymous session."""
        return await self._uses.recommend(request, current_caller())

    async def RecordEvents(  # noqa: N802 the protos' name
        self, request: public.RecordEventsRequest, _context: object
    ) -> public.RecordEventsResponse:
        """Appends events, once all are checked."""
        return await self._uses.record(request, current_caller())

    async def UpsertItems(  # noqa: N802 the protos' name
        self, request: public.UpsertItemsRequest, _context: object
    ) -> public.UpsertItemsResponse:
        """Adds items or replaces their content, once all are checked."""
        return await self._uses.upsert(request, current_caller())

    async def WithdrawItems(  # noqa: N802 the protos' name
        self, request: public.WithdrawItemsRequest, _context: object
    ) -> public.WithdrawItemsResponse:
        """Takes items out of every slate, once all are checked."""
        return await self._uses.withdraw(request, current_caller())

    async def GetUserState(  # noqa: N802 the protos' name
        self, request: public.GetUserStateRequest, _context: object
    ) -> public.GetUserStateResponse:
        """What is known of a user."""
        return await self._uses.user_state(request, current_caller())


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """The operator's methods."""

    def __init__(self, uses: AdminUses) -> None:
        self._uses = uses

    async def GetStatus(  # noqa: N802 the protos' name
        self, request: admin.GetStatusRequest, _context: object
    ) -> admin.GetStatusResponse:
        """Ready or not and why."""
        return await self._uses.status(request, current_caller())

    async def ListReleases(  # noqa: N802 the protos' name
        self, request: admin.ListReleasesRequest, _context: object
    ) -> admin.ListReleasesResponse:
        """Releases, newest first."""
        return await self._uses.releases(request, current_caller())

    async def ActivateRelease(  # noqa: N802 the protos' name
        self, request: admin.ActivateReleaseRequest, _context: object
    ) -> admin.ActivateReleaseResponse:
        """Makes a published release the active one."""
        return await self._uses.activate(request, current_caller())

    async def RollbackRelease(  # noqa: N802 the protos' name
        self, request: admin.RollbackReleaseRequest, _context: object
    ) -> admin.RollbackReleaseResponse:
        """Goes back to the release that was active before."""
        return await self._uses.rollback(request, current_caller())
