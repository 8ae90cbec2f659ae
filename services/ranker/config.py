"""What the ranker is told by its environment, SNOWMELT_RANKER_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from snowmelt.runtime.config import Settings


class RankerSettings(Settings):
    """Addresses and limits of the ranker.

    Attributes:
        ops_address: health and metrics.
        workers: threads that score where it takes long, as explaining does; short work needs none.
        release_poll_s: how often the active release is looked at.
        replica_age_ms_max: not ready while the replica may lie further behind the online store.
    """

    model_config = SettingsConfigDict(env_prefix="SNOWMELT_RANKER_", extra="forbid", frozen=True)

    address: str = "127.0.0.1:7070"
    ops_address: str = "127.0.0.1:7072"
    workers: int = Field(2, ge=1, le=64)
    release_poll_s: float = Field(0.5, gt=0, le=1)
    replica_age_ms_max: float = Field(5000, gt=0)
