"""Where a listener may stand: on loopback, or beyond it with TLS; and whether the place is free."""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

import grpc

from snowmelt.runtime.config import ConfigError


class AddressTaken(Exception):  # noqa: N818 the name says what is the case
    """Somebody listens there already. Exit code 69."""


@dataclass(frozen=True)
class Tls:
    """A listener's certificate chain and key, PEM files."""

    cert_path: Path
    key_path: Path

    def credentials(self) -> grpc.ServerCredentials:
        """What grpc takes."""
        return grpc.ssl_server_credentials([(self.key_path.read_bytes(), self.cert_path.read_bytes())])


def split(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ConfigError: it is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"{address}: an address is HOST:PORT with a port from 0 to 65535")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind_address(address: str, *, secured: bool = False) -> str:
    """The address, if a listener may be bound there now.

    Raises:
        ConfigError: it lies beyond loopback and is not secured by TLS.
        AddressTaken: somebody listens there already.
    """
    host, port = split(address)
    if not is_loopback(host) and not secured:
        raise ConfigError(f"{address}: a listener beyond loopback needs TLS and authentication; bind 127.0.0.1 instead")
    listening_socket(host, port).close()
    return address


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket, not yet listening.

    Raises:
        AddressTaken: somebody listens there already.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it sees that the protocol is TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise AddressTaken(
            f"{host}:{port} cannot be bound: {error.strerror}; set another port or stop what is there"
        ) from None
    return bound
