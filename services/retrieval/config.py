"""What retrieval is told by its environment, SNOWMELT_RETRIEVAL_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from snowmelt.runtime.config import Settings


class RetrievalSettings(Settings):
    """Addresses and limits of retrieval.

    Attributes:
        address: the gRPC listener.
        ops_address: health and metrics.
        threads: where retrieving takes long, so many requests are worked on at once, on threads; short work needs none.
        replica_age_ms_max: not ready while the replica may lie further behind the online store.
    """

    model_config = SettingsConfigDict(env_prefix="SNOWMELT_RETRIEVAL_", extra="forbid", frozen=True)

    address: str = "127.0.0.1:7060"
    ops_address: str = "127.0.0.1:7062"
    threads: int = Field(2, ge=1, le=64)
    replica_age_ms_max: float = Field(5000, gt=0)
