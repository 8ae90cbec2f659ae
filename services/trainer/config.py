"""What the trainer is told by its environment, SNOWMELT_TRAINER_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from snowmelt.runtime.config import Settings
from snowmelt.training.config import TrainingConfig


class TrainerSettings(Settings):
    """When and how the trainer trains.

    Attributes:
        ops_address: health and metrics.
        once: train once, say how it went as lines of JSON on standard output, and end.
        interval_seconds: train again so long after the last training began; 0: only when asked.
        keep: so many releases stay, besides the active and the previous one.
        positives: which events are choices, such as ``purchase, rating>=4``.
        label_share, test_share, max_queries, max_test_queries: see TrainingConfig.
    """

    model_config = SettingsConfigDict(env_prefix="SNOWMELT_TRAINER_", extra="forbid", frozen=True)

    ops_address: str = "127.0.0.1:7093"
    once: bool = False
    interval_seconds: float = Field(0, ge=0)
    keep: int = Field(5, ge=1)
    positives: str = TrainingConfig.positives
    label_share: float = Field(TrainingConfig.label_share, gt=0, lt=0.8)
    test_share: float = Field(TrainingConfig.test_share, gt=0, lt=0.5)
    max_queries: int = Field(TrainingConfig.max_queries, ge=50)
    max_test_queries: int = Field(TrainingConfig.max_test_queries, ge=20)

    @property
    def training(self) -> TrainingConfig:
        """The same as the library takes it."""
        return TrainingConfig(
            positives=self.positives,
            label_share=self.label_share,
            test_share=self.test_share,
            max_queries=self.max_queries,
            max_test_queries=self.max_test_queries,
        )
