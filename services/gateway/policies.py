"""Who may call what: one row a method and a route. A method without a row cannot be served."""

from snowmelt.runtime.auth import Policies, Policy, Role

_GATEWAY = "/snowmelt.api.gateway.v1.GatewayService/"
_ADMIN = "/snowmelt.api.admin.v1.AdminService/"
_WRITE_MS = 5000

_READ = Policy(Role.PUBLIC, deadline_ms=5000)
"""Recommend has a budget of its own in the request."""
_COMPLETED = Policy(Role.PUBLIC, deadline_ms=_WRITE_MS, checked=False)
_OPERATE = Policy(Role.ADMIN, deadline_ms=_WRITE_MS)

PUBLIC: Policies = {
    _GATEWAY + "Recommend": _READ,
    _GATEWAY + "RecordEvents": _COMPLETED,
    _GATEWAY + "UpsertItems": _COMPLETED,
    _GATEWAY + "WithdrawItems": Policy(Role.PUBLIC, deadline_ms=_WRITE_MS),
    _GATEWAY + "GetUserState": Policy(Role.PUBLIC),
    "POST /v1/recommend": _READ,
    "POST /v1/events": _COMPLETED,
    "POST /v1/items": _COMPLETED,
    "POST /v1/items/withdraw": Policy(Role.PUBLIC, deadline_ms=_WRITE_MS),
    "GET /v1/users/{user_id}/state": Policy(Role.PUBLIC),
    "GET /openapi.json": Policy(Role.PUBLIC),
}

EMBEDDED: Policies = {"GET /openapi.json": Policy(None), "GET /docs": Policy(None)}
"""The page that a browser shows cannot send a token; it is there in embedded mode alone."""

ADMIN: Policies = {
    _ADMIN + "GetStatus": _OPERATE,
    _ADMIN + "ListReleases": _OPERATE,
    _ADMIN + "ActivateRelease": _OPERATE,
    _ADMIN + "RollbackRelease": _OPERATE,
    "GET /admin/v1/status": _OPERATE,
    "GET /admin/v1/releases": _OPERATE,
    "POST /admin/v1/releases/{release_id}/activate": _OPERATE,
    "POST /admin/v1/releases/rollback": _OPERATE,
}
