"""What ``snowmelt deadletters accept`` has left in the lake."""

from collections.abc import Mapping, Sequence

from snowmelt.lake import DEAD_LETTERS, Lake


class AcceptedBad:
    """Before which offset of each partition bad records are dead letters whatever their share."""

    def __init__(self, lake: Lake, incarnations: Mapping[str, str]) -> None:
        self._lake = lake
        self._incarnations = incarnations

    def __call__(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """By partition. Raises SnowmeltError NOT_FOUND where there is no lake."""
        wanted = [(self._incarnations[topic], topic, partition) for partition in partitions]
        return {key[2]: offset for key, offset in self._lake.marks(DEAD_LETTERS, "accepted", wanted).items()}
