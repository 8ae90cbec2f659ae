"""Stream views as they were: computed anew from the lake, at a pinned version, as of each row's own time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSIONS
from snowmelt.features.arrow import CATALOG_COLUMNS, EVENT_COLUMNS, IMPRESSION_COLUMNS
from snowmelt.features.asof import AsOf
from snowmelt.features.ragged import I64
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews, Values
from snowmelt.featurestore.feast_pins import current_pins
from snowmelt.featurestore.feast_settings import repo_settings
from snowmelt.lake.lake import Lake


@dataclass(frozen=True)
class _Table:
    """The lake's table of a topic and how its rows are read."""

    name: str
    columns: Sequence[str]
    rows: Callable[[pa.Table, CompiledViews], Rows]


_TABLES = {
    EVENTS: _Table("events", EVENT_COLUMNS, Rows.from_arrow_events),
    IMPRESSIONS: _Table("impressions", IMPRESSION_COLUMNS, Rows.from_arrow_impressions),
    CATALOG: _Table("catalog", CATALOG_COLUMNS, lambda table, _: Rows.from_arrow_catalog(table)),
}


@dataclass(frozen=True)
class Replay:
    """The compiled views and one state of the lake.

    Attributes:
        versions: the version of each table that is read.
        tenant: whose rows count.
    """

    views: CompiledViews
    lake: Lake
    versions: Mapping[str, int]
    tenant: str

    @classmethod
    def of(cls, config: Any) -> "Replay":
        """What the repository's settings name; pins the lake where ``feast_pins.pinned`` has not.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where nothing was applied; NOT_FOUND where there is no lake.
        """
        own, settings = config.offline_store, repo_settings(config.repo_path)
        lake = Lake(own.lake_url or settings.lake_url)
        pinned = current_pins().lake_versions
        return cls(
            CompiledViews.load(own.views_path or settings.views_path),
            lake,
            lake.versions() if pinned is None else pinned,
            own.tenant,
        )

    def read(self, view: str, entities: pa.ChunkedArray, times_ms: I64, names: Sequence[str]) -> Values:
        """The named features of n (entity, time), as they were then.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where the view is not among the compiled ones.
        """
        if view not in self.views.views:
            detail = f"{view} is not among the compiled views: run `feast apply`"
            raise SnowmeltError(Reason.FEATURES_MISMATCH, detail, field=view)
        compiled = self.views.views[view]
        rows = [self._rows(_TABLES[topic]) for topic in compiled.topics]
        return AsOf(compiled, rows, self.tenant).read(entities.to_pylist(), times_ms, names)

    def _rows(self, table: _Table) -> Rows:
        return table.rows(self.lake.read(table.name, table.columns, self.versions[table.name]), self.views)
