"""Feast's offline store: stream views replayed from the lake, ordinary views by the as-of join."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis  # type: ignore[import-untyped]
import pandas as pd
import pyarrow as pa
from feast import OnDemandFeatureView, StreamFeatureView
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.duckdb import (
    DuckDBOfflineStore,
    DuckDBOfflineStoreConfig,
    _read_data_source,
    _write_data_source,
)
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from pydantic import StrictStr

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.featurestore.feast_columns import arrow_column
from snowmelt.featurestore.feast_join import Ints, Versions, nanoseconds, newest_rows, take_rows
from snowmelt.featurestore.feast_replay import Replay

_NS_PER_MS = 1_000_000


class SnowmeltOfflineStoreConfig(DuckDBOfflineStoreConfig):
    """Settings of the offline store; what is not given comes from SNOWMELT_*.

    Attributes:
        lake_url, views_path: instead of SNOWMELT_LAKE_URL and SNOWMELT_VIEWS_PATH.
        tenant: whose events are read.
    """

    type: StrictStr = "snowmelt.featurestore.feast_offline.SnowmeltOfflineStore"
    lake_url: str = ""
    views_path: str = ""
    tenant: str = DEFAULT_TENANT


class SnowmeltOfflineStore(DuckDBOfflineStore):
    """Point-in-time features, equal to what was online at each row's time; the rest is Feast's DuckDB store."""

    @staticmethod
    def get_historical_features(  # noqa: PLR0917 # Feast's signature
        config: Any,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> "AsOfJob":
        """A job that joins to each row of ``entity_df`` the features of its entities as of its event timestamp.

        The lake is pinned at the versions that it has now, or at those of ``feast_pins.pinned``.

        Raises:
            SnowmeltError: INVALID_FIELD where ``entity_df`` is not a data frame.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise SnowmeltError(Reason.INVALID_FIELD, "give entity_df as a pandas data frame", field="entity_df")
        streams = any(isinstance(view, StreamFeatureView) for view in feature_views)
        return AsOfJob(
            config=config,
            views=[_Requested.of(view, feature_refs, full_feature_names) for view in feature_views],
            entity_df=entity_df,
            references=feature_refs,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            known_at_the_time=filter_by_created_timestamp,
            replay=Replay.of(config) if streams else None,
        )


@dataclass(frozen=True)
class _Requested:
    """A view and which of its features are asked for, by the name that each has in the answer."""

    view: Any
    features: dict[str, str]
    join_keys: dict[str, str]

    @classmethod
    def of(cls, view: Any, references: list[str], full_feature_names: bool) -> "_Requested":
        prefix = f"{view.projection.name_to_use()}:"
        name = view.projection.name_alias or view.name
        features = [r.removeprefix(prefix) for r in references if r.startswith(prefix)]
        return cls(
            view,
            {f"{name}__{f}" if full_feature_names else f: f for f in features},
            view.projection.join_key_map or {e.name: e.name for e in view.entity_columns},
        )


class AsOfJob(RetrievalJob):
    """The answer of ``get_historical_features``: computed when it is asked for, rows in the order of ``entity_df``."""

    def __init__(
        self,
        *,
        config: Any,
        views: list[_Requested],
        entity_df: pd.DataFrame,
        references: list[str],
        on_demand: list[Any],
        full_feature_names: bool,
        known_at_the_time: bool,
        replay: Replay | None,
    ) -> None:
        super().__init__()
        self._config = config
        self._views = views
        self._entities, self._time_column = _entity_table(entity_df)
        self._references = references
        self._on_demand = on_demand
        self._full_feature_names = full_feature_names
        self._known_at_the_time = known_at_the_time
        self._replay = replay

    @property
    def lake_versions(self) -> dict[str, int]:
        """The version of each lake table that the stream views are computed from."""
        return dict(self._replay.versions) if self._replay else {}

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        del timeout
        times = nanoseconds(self._entities.column(self._time_column))
        table = self._entities
        for requested in self._views:
            read: Callable[[_Requested, Ints], list[pa.ChunkedArray]] = (
                self._read_stream if isinstance(requested.view, StreamFeatureView) else self._read_batch
            )
            for name, column in zip(requested.features, read(requested, times), strict=True):
                table = table.append_column(name, column)
        return table

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def _read_stream(self, requested: _Requested, times: Ints) -> list[pa.ChunkedArray]:
        assert self._replay is not None  # noqa: S101 # made wherever a stream view is asked for
        (column,) = requested.join_keys.values()
        entities = self._entities.column(column).cast(pa.string())
        values = self._replay.read(
            requested.view.name, entities, times // _NS_PER_MS, list(requested.features.values())
        )
        kinds = {f.name: f.dtype for f in requested.view.features}
        return [arrow_column(values[f], kinds[f]) for f in requested.features.values()]

    def _read_batch(self, requested: _Requested, times: Ints) -> list[pa.ChunkedArray]:
        view, source = requested.view, requested.view.batch_source
        table = _read_data_source(source, str(self._config.repo_path))
        renamed = {new: old for old, new in source.field_mapping.items() if old in table.columns}
        table = table.rename(renamed) if renamed else table
        created = source.created_timestamp_column or None
        needed = [
            *requested.join_keys,
            *requested.features.values(),
            source.timestamp_field,
            *([created] if created else []),
        ]
        versions = Versions(
            table.select(*dict.fromkeys(needed)).to_pyarrow(),
            tuple(requested.join_keys),
            source.timestamp_field,
            created,
        )
        rows = newest_rows(
            versions,
            [self._entities.column(name) for name in requested.join_keys.values()],
            times,
            int(view.ttl.total_seconds() * 1e9) if view.ttl else None,
            self._known_at_the_time,
        )
        return take_rows(versions.table, list(requested.features.values()), rows)

    @property
    def full_feature_names(self) -> bool:
        """Whether the answer's columns carry the name of their view."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """The on-demand views that Feast computes on top."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        times = self._entities.column(self._time_column).to_pandas()
        return RetrievalMetadata(
            features=self._references,
            keys=[c for c in self._entities.column_names if c != self._time_column],
            min_event_timestamp=times.min(),
            max_event_timestamp=times.max(),
        )

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Writes the answer where a saved dataset of Feast's DuckDB store would lie."""
        table = ibis.memtable(self.to_arrow(timeout=timeout))
        _write_data_source(table, storage.to_data_source(), str(self._config.repo_path), "overwrite", allow_overwrite)


def _entity_table(entity_df: pd.DataFrame) -> tuple[pa.Table, str]:
    schema = dict(zip(entity_df.columns, entity_df.dtypes, strict=True))
    time_column = offline_utils.infer_event_timestamp_from_entity_df(schema)
    times = pd.to_datetime(entity_df[time_column], utc=True)
    if times.isna().any():
        raise SnowmeltError(Reason.INVALID_FIELD, "each row needs an event timestamp", field=f"entity_df.{time_column}")
    return pa.Table.from_pandas(entity_df.assign(**{time_column: times}), preserve_index=False), time_column
