"""An HTTP listener in this process's event loop: uvicorn on a socket of ours, without its signal handlers and logs."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from snowmelt.runtime.bind import Tls, bind_address, listening_socket, split

GRACE_S = 2
HEADER_BYTES_MAX = 128 * 1024
"""What h11 holds before it gives up; the guard answers 431 long before."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's affair."""
        yield


class HttpListener:
    """Serves one application on one address."""

    def __init__(self, app: ASGIApp, address: str, tls: Tls | None = None) -> None:
        """Binds; nothing is answered yet.

        Raises:
            ConfigError: the address lies beyond loopback and there is no TLS.
            AddressTaken: somebody listens there already.
        """
        host, port = split(bind_address(address, secured=tls is not None))
        self._socket = listening_socket(host, port)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=256,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=GRACE_S,
                h11_max_incomplete_event_size=HEADER_BYTES_MAX,
                ssl_certfile=str(tls.cert_path) if tls else None,
                ssl_keyfile=str(tls.key_path) if tls else None,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.01)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Takes no new requests and lets the running ones end."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
