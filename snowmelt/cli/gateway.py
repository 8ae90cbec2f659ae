"""How a verb reaches the gateway: the running one's address, the token from its file."""

import os

from snowmelt.client import GATEWAY, Client, token_of
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import Settings

ADDRESS = "SNOWMELT_GATEWAY_GRPC_ADDRESS"


def connect(target: str = "") -> Client:
    """A client of the gateway at ``target``, or of the one that runs here.

    Raises:
        ConfigError: there is no tokens file, or it may be read by others.
    """
    token = token_of(Settings.load().tokens_path, Role.PUBLIC)
    return Client(target or os.environ.get(ADDRESS, GATEWAY), token=token)
