"""What the use case needs of others, in its own words."""

from collections.abc import Sequence
from typing import Protocol

from snowmelt.contracts.items import ItemColumns
from snowmelt.features.views import CompiledViews
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


class Items(Protocol):
    """The items in this process."""

    def age_ms(self) -> float | None:
        """How far they may lie behind the online store, milliseconds; None before they were read for the first time."""

    def columns(self) -> ItemColumns:
        """The newest content."""


class Views(Protocol):
    """The compiled views by which packed user state is read."""

    def of_state(self, views_hash: str) -> CompiledViews:
        """Those that wrote state of this hash, as far as they are known; else those in force."""
