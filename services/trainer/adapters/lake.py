"""The past out of the lake, each table at one pinned version."""

from collections.abc import Mapping
from itertools import chain

import pyarrow as pa

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features import arrow
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.lake import Lake
from snowmelt.training import slates
from snowmelt.training.errors import BadDataError
from snowmelt.training.past import Past


class LakeHistory:
    """The port History over a lake."""

    def __init__(self, lake: Lake, views: CompiledViews) -> None:
        self._lake, self._views = lake, views

    def read(self, versions: Mapping[str, int] | None = None) -> tuple[Past, Mapping[str, int]]:
        """The past at these versions of the tables, else the newest of each.

        Raises:
            BadDataError: the lake was not made yet, or holds no events or no items.
        """
        try:
            versions = versions or self._lake.versions()
        except SnowmeltError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
            raise BadDataError(error.detail) from error
        events = self._read("events", versions, arrow.EVENT_COLUMNS, slates.EVENT_COLUMNS)
        shown = self._read("impressions", versions, arrow.IMPRESSION_COLUMNS, slates.IMPRESSION_COLUMNS)
        catalogue = self._lake.read("catalog", arrow.CATALOG_COLUMNS, versions["catalog"])
        past = Past(
            self._views,
            Rows.from_arrow_events(events, self._views),
            Rows.from_arrow_impressions(shown, self._views) if len(shown) else None,
            Rows.from_arrow_catalog(catalogue),
            shown_ms=slates.shown_ms(events, shown) if len(shown) else None,
        )
        return past, versions

    def _read(self, table: str, versions: Mapping[str, int], *columns: tuple[str, ...]) -> pa.Table:
        return self._lake.read(table, tuple(dict.fromkeys(chain(*columns))), versions[table])
