"""Where the trees' labels begin, where the test begins, and where all ends: one split in time for everybody."""

from dataclasses import dataclass

import numpy as np

from snowmelt.training.config import TrainingConfig
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Interactions


@dataclass(frozen=True)
class Windows:
    """Instants in milliseconds: the label blocks are [starts[b], starts[b + 1]), the last one ends at ``test_ms``."""

    label_starts_ms: tuple[int, ...]
    test_ms: int
    end_ms: int

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Start and end of each label block."""
        return list(zip(self.label_starts_ms, (*self.label_starts_ms[1:], self.test_ms), strict=True))


def windows(touches: Interactions, end_ms: int, config: TrainingConfig) -> Windows:
    """Splits time by shares of the choices.

    Raises:
        BadDataError: the choices stand too close in time to be split.
    """
    shares = 1 - config.test_share - config.label_share * (1 - np.arange(config.blocks) / config.blocks)
    cuts = np.quantile(touches.times_ms, [*shares, 1 - config.test_share], method="higher").tolist()
    cuts = list(dict.fromkeys(int(cut) for cut in cuts))
    if len(cuts) < 2 or cuts[0] <= touches.times_ms[0]:
        raise BadDataError(
            f"{len(touches)} choices between {touches.times_ms[0]} and {touches.times_ms[-1]} (ms) cannot be split "
            "into a past to learn from, labels and a test; more data is needed"
        )
    return Windows(tuple(cuts[:-1]), cuts[-1], end_ms)
