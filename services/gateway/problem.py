"""SnowmeltError as application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from snowmelt.contracts.errors import Reason, SnowmeltError

MEDIA_TYPE = "application/problem+json"
VIOLATIONS_MAX = 20
RETRY_AFTER_S = 1

COMMON_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def problem(
    error: SnowmeltError, instance: str, trace_id: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that tells of an error; ``code`` is the reason that gRPC gives too."""
    reason = error.reason
    body = {
        "type": f"urn:snowmelt:problem:{reason.code}",
        "title": reason.value.title,
        "status": reason.value.http,
        "detail": error.detail,
        "instance": instance[:256],
        "code": reason.code,
        "errors": [{"field": v.field, "detail": v.detail} for v in error.violations[:VIOLATIONS_MAX]],
        "trace_id": trace_id,
    }
    extra = {**COMMON_HEADERS, **(headers or {})}
    if reason is Reason.UNAUTHENTICATED:
        extra["www-authenticate"] = "Bearer"
    elif reason is Reason.UNAVAILABLE:
        extra["retry-after"] = str(RETRY_AFTER_S)
    elif reason in (Reason.BODY_TOO_LARGE, Reason.HEADERS_TOO_LARGE):
        extra["connection"] = "close"
    return Response(dumps(body), reason.value.http, extra, MEDIA_TYPE)


def dumps(value: Any) -> bytes:
    """JSON as it goes out; what cannot be UTF-8 (an echoed half of a surrogate pair) is replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")
