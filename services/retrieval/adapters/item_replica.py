"""The items in this process: a replica of the online store's item views."""

import math

from snowmelt.featurestore.item_replica import ItemReplica


class ReplicaState:
    """The port Replica over the featurestore's replica."""

    def __init__(self, replica: ItemReplica) -> None:
        self._replica = replica

    def age_ms(self) -> float:
        """How far the items may lie behind the online store; infinite before they were read once."""
        age_ms = self._replica.age_ms()
        return math.inf if age_ms is None else age_ms

    def items(self) -> int:
        """How many items there are."""
        return len(self._replica.columns())
