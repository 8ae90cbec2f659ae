"""What the ranker needs of others, in its own words."""

from collections.abc import Sequence
from typing import Protocol

from snowmelt.contracts.items import ItemSource
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.ranker import Ranker


class Releases(Protocol):
    """The releases that can be pinned."""

    def ranker(self, release_id: str) -> Ranker:
        """The ranker of a loaded release of the live views; SnowmeltError RELEASE_NOT_LOADED where it is not."""

    def ids(self) -> Sequence[str]:
        """The loaded releases of the live views, the one in use first."""


class Items(ItemSource, Protocol):
    """Items as they are online, held in process; no request waits for a store."""

    def age_ms(self) -> float | None:
        """How far the items may be behind the store, milliseconds; None before they were read for the first time."""

    def views(self) -> CompiledViews:
        """The compiled views that wrote the items' state."""
