"""What REST refuses by the headers alone, whatever is asked for: a foreign Host, too many headers, two lengths."""

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.problem import problem
from snowmelt.contracts.errors import Reason, SnowmeltError

HEADER_BYTES_MAX = 16 * 1024
HEADERS_MAX = 100


class Guard:
    """Stands before the application; browsers reach a loopback listener too (DNS rebinding), hence the Host list."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.strip().lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check_path(scope["raw_path"])
            self._check(scope["headers"])
        except SnowmeltError as error:
            await problem(error, scope["path"], headers={"connection": "close"})(scope, receive, send)
            return
        # As it was sent: a %2F in an id is no slash between two parts. The door decodes each part by itself.
        await self._app({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, send)

    def _check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        if len(headers) > HEADERS_MAX or sum(len(k) + len(v) for k, v in headers) > HEADER_BYTES_MAX:
            detail = f"at most {HEADERS_MAX} headers and {HEADER_BYTES_MAX} bytes of them"
            raise SnowmeltError(Reason.HEADERS_TOO_LARGE, detail)
        names = [name for name, _ in headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            detail = "send content-length or transfer-encoding, not both"
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field="transfer-encoding")
        host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
        if _name(host) not in self._hosts:
            raise SnowmeltError(Reason.HOST_NOT_ALLOWED, "this server does not go by that name")


def _check_path(raw: bytes) -> None:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise SnowmeltError(Reason.INVALID_FIELD, "the path is not UTF-8", field="path") from None


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
