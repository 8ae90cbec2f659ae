"""How a verb reaches the gateway: the running one's address, the token from its file."""

import os
from pathlib import Path

from snowmelt.client import GATEWAY, Client, token_of
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import ConfigError, Settings

ADDRESS = "SNOWMELT_GATEWAY_GRPC_ADDRESS"
CERTIFICATE = "SNOWMELT_GATEWAY_TLS_CERT_PATH"
EVERYWHERE = "0.0.0.0:"


def connect(target: str = "") -> Client:
    """A client of the gateway at ``target``, or of the one that runs here, with TLS where its certificate is named.

    Raises:
        ConfigError: there is no tokens file, it may be read by others, or the certificate is not there.
    """
    token = token_of(Settings.load().tokens_path, Role.PUBLIC)
    address = target or os.environ.get(ADDRESS, GATEWAY)
    if address.startswith(EVERYWHERE):
        address = "localhost:" + address.removeprefix(EVERYWHERE)
    return Client(address, token=token, root_certificate=_certificate())


def _certificate() -> bytes | None:
    named = os.environ.get(CERTIFICATE)
    try:
        return Path(named).read_bytes() if named else None
    except OSError:
        raise ConfigError(f"{CERTIFICATE}: {named} cannot be read") from None
