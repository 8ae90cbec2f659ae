"""REST: the same use cases as gRPC, by the table below."""

from starlette.types import ASGIApp

from services.gateway import openapi, policies
from services.gateway.guard import Guard
from services.gateway.rest_door import RestDoor, Route
from services.gateway.use_cases import AdminUses, PublicUses
from snowmelt.api.admin.v1 import admin_pb2 as admin
from snowmelt.api.gateway.v1 import gateway_pb2 as public
from snowmelt.runtime.auth import Policies, Tokens, check_policies
from snowmelt.runtime.grpc_call import Room
from snowmelt.runtime.grpc_server import MAX_CALLS


def public_routes(uses: PublicUses) -> list[Route]:
    """The public listener's routes."""
    return [
        Route("POST", "/v1/recommend", "Recommend", public.RecommendRequest, public.RecommendResponse, uses.recommend),
        Route(
            "POST", "/v1/events", "RecordEvents", public.RecordEventsRequest, public.RecordEventsResponse, uses.record
        ),
        Route("POST", "/v1/items", "UpsertItems", public.UpsertItemsRequest, public.UpsertItemsResponse, uses.upsert),
        Route(
            "POST", "/v1/items/withdraw", "WithdrawItems",
            public.WithdrawItemsRequest, public.WithdrawItemsResponse, uses.withdraw,
        ),
        Route(
            "GET", "/v1/users/{user_id}/state", "GetUserState",
            public.GetUserStateRequest, public.GetUserStateResponse, uses.user_state, body="none",
        ),
    ]  # fmt: skip


def admin_routes(uses: AdminUses) -> list[Route]:
    """The admin listener's routes."""
    return [
        Route(
            "GET", "/admin/v1/status", "GetStatus",
            admin.GetStatusRequest, admin.GetStatusResponse, uses.status, body="none",
        ),
        Route(
            "GET", "/admin/v1/releases", "ListReleases",
            admin.ListReleasesRequest, admin.ListReleasesResponse, uses.releases, body="none",
        ),
        Route(
            "POST", "/admin/v1/releases/rollback", "RollbackRelease",
            admin.RollbackReleaseRequest, admin.RollbackReleaseResponse, uses.rollback, body="optional",
        ),
        Route(
            "POST", "/admin/v1/releases/{release_id}/activate", "ActivateRelease",
            admin.ActivateReleaseRequest, admin.ActivateReleaseResponse, uses.activate, body="optional",
        ),
    ]  # fmt: skip


def public_app(uses: PublicUses, tokens: Tokens, hosts: list[str], *, embedded: bool) -> ASGIApp:
    """The public application; its OpenAPI document needs a token, except in embedded mode, where a page shows it.

    Raises:
        ConfigError: a route has no policy row.
    """
    rows: Policies = {**policies.PUBLIC, **(policies.EMBEDDED if embedded else {})}
    routes = public_routes(uses)
    check_policies([route.key for route in routes], rows)
    document = openapi.document(routes, rows)
    pages = [("/openapi.json", "application/json", openapi.as_json(document))]
    if embedded:
        pages.append(("/docs", "text/html; charset=utf-8", openapi.as_page(document)))
    return Guard(RestDoor(tokens, rows, Room(MAX_CALLS)).app(routes, pages), hosts)


def admin_app(uses: AdminUses, tokens: Tokens, hosts: list[str]) -> ASGIApp:
    """The admin application.

    Raises:
        ConfigError: a route has no policy row.
    """
    return Guard(RestDoor(tokens, policies.ADMIN, Room(MAX_CALLS)).app(admin_routes(uses)), hosts)
