"""What the use case needs of others, in its own words."""

from collections.abc import Sequence
from typing import Protocol

from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.retrieval import Retriever


class Releases(Protocol):
    """The releases that can be pinned."""

    def retriever(self, release_id: str) -> Retriever:
        """A loaded release's retriever.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED.
        """

    def loaded(self) -> Sequence[str]:
        """Their ids, the one in use first."""


class Replica(Protocol):
    """How far the items in this process are."""

    def age_ms(self) -> float:
        """How far they may lie behind the online store."""

    def items(self) -> int:
        """How many there are."""


class Users(Protocol):
    """The reading of packed user state."""

    def finish(self, packed: PackedUserState, as_of_ms: int) -> UserState:
        """A user's state at one instant.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where other views wrote the state than this process can read.
        """
