"""What the gateway is told by its environment, SNOWMELT_GATEWAY_*."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from snowmelt.runtime.bind import Tls
from snowmelt.runtime.config import ConfigError, Settings


class GatewaySettings(Settings):
    """Addresses and limits of the gateway.

    Attributes:
        grpc_address, rest_address: the public listener's two doors.
        admin_address, admin_grpc_address: the admin listener's two doors.
        ops_address: health and metrics.
        retrieval_target, ranker_target: where the other two are.
        allowed_hosts: host names that REST answers to, comma-separated; the listener's own host is among them.
        tls_cert_path, tls_key_path: PEM files of the public listener; needed beyond loopback.
        candidates: how many candidates retrieval is asked for.
        budget_ms: a request's budget where it names none.
        at_once: so many recommendations are worked on at once; a further one waits for its turn.
    """

    model_config = SettingsConfigDict(env_prefix="SNOWMELT_GATEWAY_", extra="forbid", frozen=True)

    grpc_address: str = "127.0.0.1:7050"
    rest_address: str = "127.0.0.1:7080"
    admin_address: str = "127.0.0.1:7081"
    admin_grpc_address: str = "127.0.0.1:7051"
    ops_address: str = "127.0.0.1:7082"
    retrieval_target: str = "127.0.0.1:7060"
    ranker_target: str = "127.0.0.1:7070"
    allowed_hosts: str = "localhost,127.0.0.1,::1"
    tls_cert_path: str = ""
    tls_key_path: str = ""
    candidates: int = Field(500, ge=1, le=10_000)
    budget_ms: int = Field(200, ge=1, le=5000)
    at_once: int = Field(4, ge=1, le=256)

    def tls(self) -> Tls | None:
        """The public listener's certificate, if one is set.

        Raises:
            ConfigError: one of the two files is not named, or not there.
        """
        if not self.tls_cert_path and not self.tls_key_path:
            return None
        cert, key = Path(self.tls_cert_path), Path(self.tls_key_path)
        for name, path in (("TLS_CERT_PATH", cert), ("TLS_KEY_PATH", key)):
            if not path.is_file():
                raise ConfigError(f"SNOWMELT_GATEWAY_{name}: there is no such file; set both or none")
        return Tls(cert, key)
