"""The use cases as both doors see them: a request and its caller in, an answer or SnowmeltError out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from snowmelt.api.admin.v1 import admin_pb2 as admin
from snowmelt.api.gateway.v1 import gateway_pb2 as public
from snowmelt.runtime.auth import Caller

Q = TypeVar("Q")
A = TypeVar("A")
Use: TypeAlias = Callable[[Q, Caller], Awaitable[A]]


@dataclass(frozen=True)
class PublicUses:
    """What the public doors open to."""

    recommend: Use[public.RecommendRequest, public.RecommendResponse]
    record: Use[public.RecordEventsRequest, public.RecordEventsResponse]
    upsert: Use[public.UpsertItemsRequest, public.UpsertItemsResponse]
    withdraw: Use[public.WithdrawItemsRequest, public.WithdrawItemsResponse]
    user_state: Use[public.GetUserStateRequest, public.GetUserStateResponse]


@dataclass(frozen=True)
class AdminUses:
    """What the admin doors open to."""

    status: Use[admin.GetStatusRequest, admin.GetStatusResponse]
    releases: Use[admin.ListReleasesRequest, admin.ListReleasesResponse]
    activate: Use[admin.ActivateReleaseRequest, admin.ActivateReleaseResponse]
    rollback: Use[admin.RollbackReleaseRequest, admin.RollbackReleaseResponse]
