"""Everything that has happened, readable as of any instant: what the online store would have answered then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.contracts.items import ItemColumns
from snowmelt.contracts.user_state import UserState
from snowmelt.features import content
from snowmelt.features.asof import AsOf
from snowmelt.features.rows import NO_TYPE, Rows
from snowmelt.features.user import PROFILE, SEEN, user_of
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.schema import ITEM_STATS
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Times
from snowmelt.training.offline_items import OfflineItems

STATES_AT_ONCE = 2_000


@dataclass(frozen=True)
class Past:
    """One tenant's log.

    Attributes:
        events, impressions, catalogue: the rows of the topics; impressions may be none.
        shown_ms: int64[n], of each event, as ``slates.shown_ms`` finds it; None where nothing was shown.
    """

    views: CompiledViews
    events: Rows
    impressions: Rows | None
    catalogue: Rows
    tenant: str = DEFAULT_TENANT
    shown_ms: Times | None = None

    def __post_init__(self) -> None:
        for what, rows in (("events", self.events), ("catalogue changes", self.catalogue)):
            if not len(rows):
                raise BadDataError(f"there are no {what}; load data first")

    @property
    def end_ms(self) -> int:
        """Just after the newest event."""
        return int(self.events.times_ms.max()) + 1

    def items(self, as_of_ms: int, until_ms: int | None = None, *, announced: bool = False) -> OfflineItems:
        """The items known at an instant, and with ``until_ms`` those first known before that.

        ``announced``: the latter count as available from the instant on, although nothing but their content is known.
        """
        columns = self._content(as_of_ms, until_ms or as_of_ms)
        if announced:
            columns = replace(columns, available_from_ms=np.minimum(columns.available_from_ms, as_of_ms))
        return OfflineItems(columns, self._statistics, self.views.views[ITEM_STATS].scalars)

    def states(self, entities: Sequence[str], times_ms: npt.NDArray[np.int64]) -> list[UserState]:
        """The state of each user at each instant, aligned."""
        made: list[UserState] = []
        for start in range(0, len(entities), STATES_AT_ONCE):
            part = slice(start, start + STATES_AT_ONCE)
            profile = self._profiles.read(entities[part], times_ms[part])
            seen = self._seen.read(entities[part], times_ms[part], ["seen_items"])["seen_items"]
            for row, cell in enumerate(seen):
                made.append(user_of(self.views, {name: values[row] for name, values in profile.items()}, cell))
        return made

    def _content(self, as_of_ms: int, until_ms: int) -> ItemColumns:
        """Each item's newest change at or before ``as_of_ms``, else its first one before ``until_ms``."""
        rows = self.catalogue
        mine = np.flatnonzero(rows.tenant_words.equal(self.tenant) & (rows.times_ms < max(as_of_ms + 1, until_ms)))
        if not len(mine):
            raise BadDataError("the catalogue holds no item at that time")
        mine = mine[np.lexsort((rows.offsets[mine], rows.times_ms[mine], rows.item_words.codes[mine]))]
        items, times = rows.item_words.codes[mine], rows.times_ms[mine]
        starts = np.flatnonzero(np.diff(items, prepend=-1))
        stops = np.append(starts[1:], len(items))
        old = np.add.reduceat((times <= as_of_ms).astype(np.int64), starts)
        taken = np.minimum(starts + np.maximum(old - 1, 0), stops - 1)
        upserts = np.where(rows.types[mine] == NO_TYPE, times, np.iinfo(np.int64).max)
        first = np.minimum.reduceat(upserts, starts).astype(np.float64)
        first[first > times.max()] = np.nan
        assert rows.payloads is not None  # noqa: S101  rows of the catalogue carry them
        return content.columns(rows.payloads[mine[taken]].tolist(), first)

    @cached_property
    def _statistics(self) -> AsOf:
        rows = [self.events] if self.impressions is None else [self.events, self.impressions]
        return AsOf(self.views.views[ITEM_STATS], rows, self.tenant)

    @cached_property
    def _profiles(self) -> AsOf:
        return AsOf(self.views.views[PROFILE], self.events, self.tenant)

    @cached_property
    def _seen(self) -> AsOf:
        return AsOf(self.views.views[SEEN], self.events, self.tenant)
