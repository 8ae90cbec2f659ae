"""Feature lists: which features a model was trained on, in order, and the hash that says whether two are the same."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property

from snowmelt.contracts.errors import Reason, SnowmeltError


class FeatureList:
    """Names of a model's inputs in the order of its columns."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises SnowmeltError (FEATURES_MISMATCH) where a name comes twice or is empty."""
        self.names = tuple(names)
        if len(set(self.names)) != len(self.names) or not all(self.names):
            raise SnowmeltError(Reason.FEATURES_MISMATCH, "a feature list must hold different names, none empty")

    @cached_property
    def hash(self) -> str:
        """sha256 in hex of the names in order; each is led by its length, so that no two lists read alike."""
        return hashlib.sha256("".join(f"{len(n)}:{n}," for n in self.names).encode()).hexdigest()

    def require(self, other_hash: str) -> None:
        """Refuses a model that was trained on another list.

        Raises:
            SnowmeltError: FEATURES_MISMATCH.
        """
        if other_hash != self.hash:
            raise SnowmeltError(
                Reason.FEATURES_MISMATCH,
                f"the release was trained on feature list {other_hash[:12]}, here it is {self.hash[:12]}: train again",
            )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureList) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)
