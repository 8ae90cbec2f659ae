"""SnowmeltError to google.rpc.Status and back."""

from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError

DOMAIN = "snowmelt"
VIOLATIONS_MAX = 20
TEXT_MAX = 256

TOO_LARGE = "larger than max"
"""So gRPC itself says that a message is too large; its other refusals of the code are of too much at once."""

_BY_CODE = {reason.code: reason for reason in Reason}
_BY_GRPC = {
    4: Reason.DEADLINE_EXCEEDED,
    1: Reason.CANCELLED,
    8: Reason.UNAVAILABLE,
    12: Reason.UNKNOWN_METHOD,
    14: Reason.UNAVAILABLE,
}


def to_status(error: SnowmeltError) -> status_pb2.Status:
    """The error with ErrorInfo, and BadRequest or RetryInfo where they fit; small enough for a trailer."""
    details: list[any_pb2.Any] = [any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=error.reason.code, domain=DOMAIN))
    if error.violations:
        bad = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=v.field[:TEXT_MAX], description=v.detail[:TEXT_MAX])
                for v in error.violations[:VIOLATIONS_MAX]
            ]
        )
        details.append(any_pb2.Any())
        details[-1].Pack(bad)
    if error.reason is Reason.UNAVAILABLE:
        details.append(any_pb2.Any())
        details[-1].Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)))
    return status_pb2.Status(code=error.reason.value.grpc, message=error.detail[:TEXT_MAX], details=details)


async def abort(context: "grpc.aio.ServicerContext[Any, Any]", error: SnowmeltError) -> None:
    """Ends the call with the error."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)


def from_rpc_error(error: grpc.RpcError) -> SnowmeltError:
    """What the other side said, as it was raised there; a status without our details by its code."""
    status = _status_of(error)
    reason = None
    violations: tuple[FieldViolation, ...] = ()
    for detail in status.details if status else ():
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason = _BY_CODE.get(info.reason)
        elif detail.Unpack(bad):
            violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
    code, said = error.code().value[0], str(error.details() or "")
    if reason is None and code == Reason.BODY_TOO_LARGE.value.grpc and TOO_LARGE in said:
        reason = Reason.BODY_TOO_LARGE
    return SnowmeltError(reason or _BY_GRPC.get(code, Reason.INTERNAL), said, violations=violations)


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    trailers: Iterable[tuple[str, bytes]] = cast(Any, error).trailing_metadata() or ()
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return None
