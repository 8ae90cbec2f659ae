"""The Python client: typed calls to a gateway over gRPC, errors as SnowmeltError with the gateway's reasons."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from snowmelt.api.admin.v1 import admin_pb2, admin_pb2_grpc
from snowmelt.api.events.v1.events_pb2 import Event, ItemUpsert
from snowmelt.api.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from snowmelt.runtime.auth import Role, Tokens
from snowmelt.runtime.grpc_client import OPTIONS
from snowmelt.runtime.grpc_errors import from_rpc_error

GATEWAY = "127.0.0.1:7050"
ADMIN = "127.0.0.1:7051"

ResponseT = TypeVar("ResponseT")


def token_of(tokens_path: str | Path, role: Role) -> str:
    """A role's token out of an installation's tokens file.

    Raises:
        ConfigError: there is no such file to be read, or others may read it.
    """
    return Tokens.load(str(tokens_path)).of(role)


class _Connection:
    def __init__(self, target: str, token: str, timeout_s: float, root_certificate: bytes | None = None) -> None:
        if root_certificate is None:
            self._channel = grpc.insecure_channel(target, options=OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificate)
            self._channel = grpc.secure_channel(target, credentials, options=OPTIONS)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _call(self, method: Callable[..., ResponseT], request: Any) -> ResponseT:
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


class Client(_Connection):
    """Recommendations, events and items; safe for several threads. Every call may raise SnowmeltError.

    Args:
        token: of role public; ``token_of`` reads it from an installation's file.
        timeout_s: for one call; a recommendation's own budget is its ``timeout_ms``.
        root_certificate: PEM bytes that the gateway's certificate is verified with; None: without TLS.
    """

    def __init__(
        self,
        target: str = GATEWAY,
        *,
        token: str,
        timeout_s: float = 5.0,
        root_certificate: bytes | None = None,
    ) -> None:
        super().__init__(target, token, timeout_s, root_certificate)
        self._stub = gateway_pb2_grpc.GatewayServiceStub(self._channel)

    def recommend(
        self,
        user_id: str = "",
        *,
        session_id: str = "",
        session_events: Sequence[gateway_pb2.SessionEvent] = (),
        k: int | None = None,
        categories: Sequence[str] = (),
        exclude_item_ids: Sequence[str] = (),
        surface: str = "",
        context: Mapping[str, str] | None = None,
        explain: bool = False,
        timeout_ms: int | None = None,
    ) -> gateway_pb2.RecommendResponse:
        """A slate for a user, or for an anonymous session and what it did so far."""
        request = gateway_pb2.RecommendRequest(
            user_id=user_id,
            session_id=session_id,
            session_events=session_events,
            k=k,
            categories=categories,
            exclude_item_ids=exclude_item_ids,
            surface=surface,
            context=context or {},
            explain=explain,
            timeout_ms=timeout_ms,
        )
        return self._call(self._stub.Recommend, request)

    def record(self, events: Sequence[Event]) -> gateway_pb2.RecordEventsResponse:
        """Appends events; returns when Kafka has acknowledged them. Give event_ids to repeat safely.

        All are checked before any is sent; after ``unavailable`` some may stand.
        """
        return self._call(self._stub.RecordEvents, gateway_pb2.RecordEventsRequest(events=events))

    def upsert_items(self, items: Sequence[ItemUpsert]) -> gateway_pb2.UpsertItemsResponse:
        """Adds items or replaces their content; after ``unavailable`` some may stand, and a repeat does no harm."""
        return self._call(self._stub.UpsertItems, gateway_pb2.UpsertItemsRequest(items=items))

    def withdraw_items(self, item_ids: Sequence[str]) -> gateway_pb2.WithdrawItemsResponse:
        """Takes items out of every slate; after ``unavailable`` some may stand, and a repeat does no harm."""
        return self._call(self._stub.WithdrawItems, gateway_pb2.WithdrawItemsRequest(item_ids=item_ids))

    def user_state(self, user_id: str) -> gateway_pb2.GetUserStateResponse:
        """What is known of a user."""
        return self._call(self._stub.GetUserState, gateway_pb2.GetUserStateRequest(user_id=user_id))


class AdminClient(_Connection):
    """What an operator does, on the admin listener; ``token`` of role admin. Every call may raise SnowmeltError."""

    def __init__(self, target: str = ADMIN, *, token: str, timeout_s: float = 10.0) -> None:
        super().__init__(target, token, timeout_s)
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)

    def status(self) -> admin_pb2.GetStatusResponse:
        """Ready or not and why, the release, ages."""
        return self._call(self._stub.GetStatus, admin_pb2.GetStatusRequest())

    def releases(self) -> admin_pb2.ListReleasesResponse:
        """Releases, newest first, and the pointer's generation."""
        return self._call(self._stub.ListReleases, admin_pb2.ListReleasesRequest())

    def activate(self, release_id: str, expected_generation: int | None = None) -> admin_pb2.ActivateReleaseResponse:
        """Makes a published release the active one."""
        request = admin_pb2.ActivateReleaseRequest(release_id=release_id, expected_generation=expected_generation)
        return self._call(self._stub.ActivateRelease, request)

    def rollback(self) -> admin_pb2.RollbackReleaseResponse:
        """Goes back to the release that was active before."""
        return self._call(self._stub.RollbackRelease, admin_pb2.RollbackReleaseRequest())
