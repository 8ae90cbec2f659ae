"""What every REST call passes through, in the order in which gRPC calls do; see snowmelt/runtime/grpc_call.py."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from services.gateway import body
from services.gateway.problem import COMMON_HEADERS, dumps, problem
from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError
from snowmelt.runtime import deadline, metrics, telemetry, validation
from snowmelt.runtime.auth import Caller, Policies, Policy, Tokens, check_policies
from snowmelt.runtime.grpc_call import Room
from snowmelt.runtime.json_messages import to_json, to_message
from snowmelt.runtime.strict_json import parse

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Route:
    """One route of REST and the use case behind it.

    Attributes:
        name: the gRPC method that answers the same.
        body: whether there is one: "required", "optional" or "none". Parts of the path are fields of the request.
    """

    verb: str
    path: str
    name: str
    request: type[Message]
    response: type[Message]
    use: Callable[[Any, Caller], Awaitable[Message]]
    body: str = "required"

    @property
    def key(self) -> str:
        """Its name in the policy table."""
        return f"{self.verb} {self.path}"


class RestDoor:
    """Makes an application of routes."""

    def __init__(self, tokens: Tokens, policies: Policies, room: Room) -> None:
        self._tokens, self._policies, self._room = tokens, policies, room

    def app(self, routes: Sequence[Route], pages: Sequence[tuple[str, str, bytes]] = ()) -> Starlette:
        """The application; ``pages`` are (path, media type, content).

        Raises:
            ConfigError: a route has no policy row.
        """
        check_policies([route.key for route in routes] + [f"GET {path}" for path, _, _ in pages], self._policies)
        served = [StarletteRoute(r.path, self._endpoint(r), methods=[r.verb]) for r in routes]
        served += [StarletteRoute(path, self._page(path, kind, content)) for path, kind, content in pages]
        app = Starlette(routes=served, exception_handlers={HTTPException: _refused})
        app.router.redirect_slashes = False
        return app

    def _endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        policy = self._policies[route.key]
        seconds = metrics.REQUEST_SECONDS.labels("rest", route.name)

        async def answer(request: Request) -> Response:
            started = time.perf_counter()
            reason, trace_id = "cancelled", ""
            try:
                caller = self._tokens.authorize(request.headers.getlist("authorization"), policy)
                with self._room, telemetry.server_span(route.name, request.headers, trusted=False):
                    trace_id = telemetry.trace_id()
                    response = await _answer(route, policy, caller, request)
                reason = "ok"
                return response
            except SnowmeltError as error:
                reason = error.reason.code
                return problem(error, request.url.path, trace_id)
            finally:
                metrics.REQUESTS.labels("rest", route.name, reason).inc()
                seconds.observe(time.perf_counter() - started)

        return answer

    def _page(self, path: str, kind: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
        policy = self._policies[f"GET {path}"]

        async def answer(request: Request) -> Response:
            try:
                self._tokens.authorize(request.headers.getlist("authorization"), policy)
            except SnowmeltError as error:
                return problem(error, path)
            return Response(content, 200, COMMON_HEADERS, kind)

        return answer


async def _answer(route: Route, policy: Policy, caller: Caller, request: Request) -> Response:
    try:
        async with deadline.within(policy.deadline_ms / 1000):
            body.check_acceptable(request)
            message = await _message(route, request)
            if policy.checked:
                validation.check(message)
            answered = await route.use(message, caller)
        return Response(dumps(to_json(answered)), 200, COMMON_HEADERS, body.JSON)
    except SnowmeltError:
        raise
    except Exception:  # noqa: BLE001 whatever it is, the caller gets a trace id and the log the rest
        _LOG.exception("a call failed by a fault of ours")
        raise SnowmeltError(Reason.INTERNAL, f"a fault of ours; trace {telemetry.trace_id()}") from None


async def _message(route: Route, request: Request) -> Message:
    if request.url.query:
        raise SnowmeltError(Reason.INVALID_FIELD, "this takes no query parameters", field="query")
    value: Any = {}
    if route.body != "none":
        raw = await body.read(request)
        value = parse(raw) if raw or route.body == "required" else {}
    if isinstance(value, dict):
        detail = "stands in the path already"
        twice = tuple(FieldViolation(name, detail) for name in request.path_params if name in value)
        if twice:
            raise SnowmeltError.of_fields(Reason.INVALID_FIELD, twice)
        value = {**value, **{name: _decoded(part) for name, part in request.path_params.items()}}
    return to_message(value, route.request())


def _decoded(part: str) -> str:
    name = unquote(part)
    if {".", ".."} & set(name.split("/")):
        raise _no_such_path()
    return name


def _no_such_path() -> SnowmeltError:
    return SnowmeltError(Reason.NOT_FOUND, "there is no such path")


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
        return problem(
            SnowmeltError(Reason.METHOD_NOT_ALLOWED, f"the path takes {allow}"),
            request.url.path,
            headers={"allow": allow},
        )
    return problem(_no_such_path(), request.url.path)
