"""The ops listener of every process: GET /healthz and /readyz for anyone, /metrics with the ops token."""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.auth import Policy, Role, Tokens
from snowmelt.runtime.bind import bind_address, is_loopback, split
from snowmelt.runtime.config import Settings

_LOG = logging.getLogger(__name__)
_POLICIES = {"/healthz": Policy(None), "/readyz": Policy(None), "/metrics": Policy(Role.OPS)}
SOCKET_TIMEOUT_S = 5


class OpsServer:
    """Serves from threads of its own, so that synchronous processes can use it too."""

    def __init__(self, address: str, ready: Callable[[], list[str]], settings: Settings) -> None:
        """Binds ``address``; ``ready`` names what is still missing (empty: ready) and must not block.

        Raises:
            ConfigError: the address lies beyond loopback.
            AddressTaken: somebody listens there already.
        """
        tokens = Tokens.load_or_create(settings.tokens_path)
        handler = type("Handler", (_Handler,), {"ready": staticmethod(ready), "tokens": tokens})
        host, port = split(bind_address(address))
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="ops", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the listener."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    ready: Callable[[], list[str]]
    tokens: Tokens
    timeout = SOCKET_TIMEOUT_S
    server_version = "snowmelt"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers one of the three paths."""
        path = self.path.partition("?")[0]
        policy = _POLICIES.get(path)
        host = self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")
        if not is_loopback(host.strip("[]")):
            self._answer(421, {"code": "host_not_allowed"})
        elif policy is None:
            self._answer(404, {"code": "not_found"})
        else:
            try:
                self.tokens.authorize(self.headers.get_all("authorization", []), policy)
                self._serve(path)
            except SnowmeltError as error:
                self._answer(error.reason.value.http, {"code": error.reason.code, "detail": error.detail})

    def _serve(self, path: str) -> None:
        if path == "/metrics":
            self._send(200, CONTENT_TYPE_LATEST, generate_latest())
            return
        reasons = self.ready() if path == "/readyz" else []
        self._answer(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})

    def _answer(self, status: int, body: dict[str, object]) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name is http.server's
        """Scrapes are not worth a line each."""
        _LOG.debug(format, *args)
