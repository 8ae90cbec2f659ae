"""Feast's online store: stream views out of the fenced state, ordinary views as Feast's Redis store keeps them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast import StreamFeatureView, ValueType, utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.type_map import python_values_to_proto_values
from pydantic import StrictStr

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.featurestore.connection import connect
from snowmelt.featurestore.feast_columns import Column, python_values
from snowmelt.featurestore.feast_compile import compile_stream_views, write_views
from snowmelt.featurestore.feast_finish import Finisher
from snowmelt.featurestore.feast_provider import refused
from snowmelt.featurestore.feast_response import ColumnarResponse
from snowmelt.featurestore.feast_settings import repo_settings


class SnowmeltOnlineStoreConfig(RedisOnlineStoreConfig):
    """Settings of the online store; what is not given comes from SNOWMELT_*.

    Attributes:
        redis_url, views_path, clock_offset_ms: instead of SNOWMELT_REDIS_URL, SNOWMELT_VIEWS_PATH and
            SNOWMELT_CLOCK_OFFSET_MS.
        tenant: whose state is read.
    """

    type: StrictStr = "snowmelt.featurestore.feast_online.SnowmeltOnlineStore"  # type: ignore[assignment]
    redis_url: str = ""
    views_path: str = ""
    clock_offset_ms: int | None = None
    tenant: str = DEFAULT_TENANT


class SnowmeltOnlineStore(RedisOnlineStore):
    """Reads stream feature views from Snowmelt's state, at the clock's now or at ``feast_pins.pinned``; writes none."""

    _finisher: Finisher | None = None

    def get_online_features(  # noqa: PLR0917 # Feast's signature
        self,
        config: Any,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> Any:
        """The features of each row's entities; a ``ColumnarResponse`` where all of them are of stream views.

        Raises:
            SnowmeltError: UNAVAILABLE; FEATURES_MISMATCH where the state was written by other views.
            KeyError: a row has no value for a join key.
        """
        _complete(config)
        context = utils._get_cached_request_context(registry, project, features, full_feature_names)
        _, on_demand, _, _, join_keys, grouped, *_ = context
        if on_demand or not all(isinstance(view, StreamFeatureView) for view, _ in grouped):
            return super().get_online_features(
                config,
                features,
                entity_rows,
                registry,
                project,
                full_feature_names,
                include_feature_view_version_metadata,
            )
        self._check_versioned_read_support(grouped)  # type: ignore[no-untyped-call]
        given = {name: values for name, values in _columns(entity_rows).items() if name in join_keys}
        finisher = self._finish(config)
        as_of_ms = finisher.as_of_ms()
        columns: dict[str, Column] = {}
        for view, names in grouped:
            prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
            values = finisher.read(view.name, given[_join_key(view, given)], as_of_ms, names)
            columns.update((prefix + name, values[name]) for name in names)
        return ColumnarResponse(given, columns, lambda: _types(given, grouped, full_feature_names), as_of_ms)

    async def get_online_features_async(self, *args: Any, **kwargs: Any) -> Any:
        """``get_online_features`` on a thread, so that the event loop is not held."""
        return await asyncio.to_thread(self.get_online_features, *args, **kwargs)

    def online_read(
        self, config: Any, table: Any, entity_keys: list[Any], requested_features: list[str] | None = None
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """One (as_of, values) a key, for callers that want Feast's messages; slower than ``get_online_features``."""
        if not isinstance(table, StreamFeatureView):
            _complete(config)
            return super().online_read(config, table, entity_keys, requested_features)
        finisher = self._finish(config)
        as_of_ms = finisher.as_of_ms()
        kinds = {f.name: f.dtype.to_value_type() for f in table.features}
        names = requested_features or list(kinds)
        columns = finisher.read(table.name, [key.entity_values[0].string_val for key in entity_keys], as_of_ms, names)
        protos = [python_values_to_proto_values(python_values(columns[n]), kinds[n]) for n in names]
        at = datetime.fromtimestamp(as_of_ms / 1000, UTC)
        return [(at, dict(zip(names, row, strict=True))) for row in zip(*protos, strict=True)]

    async def online_read_async(self, *args: Any, **kwargs: Any) -> Any:
        """``online_read`` on a thread."""
        return await asyncio.to_thread(self.online_read, *args, **kwargs)

    def _read_features_per_fv(self, config: Any, grouped_refs: list[Any], *args: Any) -> None:
        mixed = any(isinstance(view, StreamFeatureView) for view, _ in grouped_refs)
        read = OnlineStore._read_features_per_fv if mixed else RedisOnlineStore._read_features_per_fv
        read(self, config, grouped_refs, *args)

    def online_write_batch(self, config: Any, table: Any, data: list[Any], progress: Any) -> None:
        """Writes rows of an ordinary feature view, as Feast's Redis store does.

        Raises:
            SnowmeltError: INVALID_FIELD for a stream feature view, with what to do instead.
        """
        if isinstance(table, StreamFeatureView):
            raise refused(table.name, "push, write_to_online_store or materialize")
        _complete(config)
        super().online_write_batch(config, table, data, progress)

    async def online_write_batch_async(self, *args: Any, **kwargs: Any) -> None:
        """``online_write_batch`` on a thread."""
        await asyncio.to_thread(self.online_write_batch, *args, **kwargs)

    def update(  # noqa: PLR0917 # Feast's signature
        self,
        config: Any,
        tables_to_delete: Sequence[Any],
        tables_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Any],
        entities_to_keep: Sequence[Any],
        partial: bool,
    ) -> None:
        """Compiles the stream feature views to the file that the services read; what ``feast apply`` calls.

        Raises:
            SnowmeltError: INVALID_FIELD naming the view and the feature that cannot be computed.
        """
        streams = [view for view in tables_to_keep if isinstance(view, StreamFeatureView)]
        if streams:
            write_views(compile_stream_views(streams), Path(_complete(config).views_path), partial=partial)
        ordinary = [view for view in tables_to_delete if not isinstance(view, StreamFeatureView)]
        _complete(config)
        super().update(config, ordinary, tables_to_keep, entities_to_delete, entities_to_keep, partial)

    def teardown(self, config: Any, tables: Sequence[Any], entities: Sequence[Any]) -> None:
        """Removes what ordinary views have in Redis; the state of stream views stays."""
        _complete(config)
        super().teardown(config, [view for view in tables if not isinstance(view, StreamFeatureView)], entities)

    def _finish(self, config: Any) -> Finisher:
        if self._finisher is None:
            own = _complete(config)
            self._finisher = Finisher(own.redis_url, Path(own.views_path), own.tenant, Clock(own.clock_offset_ms))
        return self._finisher

    def _get_client(self, online_store_config: Any) -> Any:
        if not self._client:
            self._client = connect(online_store_config.redis_url)
        return self._client


def _complete(config: Any) -> Any:
    """The store's own settings, with what was not given filled in from SNOWMELT_*."""
    own = config.online_store
    if not own.redis_url or not own.views_path or own.clock_offset_ms is None:
        settings = repo_settings(config.repo_path)
        own.redis_url = own.redis_url or settings.redis_url
        own.views_path = own.views_path or settings.views_path
        own.clock_offset_ms = settings.clock_offset_ms if own.clock_offset_ms is None else own.clock_offset_ms
    return own


def _types(given: Mapping[str, Any], grouped: Any, full_feature_names: bool) -> dict[str, ValueType]:
    found = dict.fromkeys(given, ValueType.STRING)
    for view, _ in grouped:
        prefix = f"{view.projection.name_to_use()}__" if full_feature_names else ""
        found.update((prefix + field.name, field.dtype.to_value_type()) for field in view.features)
    return found


def _columns(entity_rows: Any) -> Mapping[str, Sequence[Any]]:
    """Entity rows as columns of plain values, from any of the forms that Feast takes."""
    if isinstance(entity_rows, list):
        names = entity_rows[0].keys() if entity_rows else ()
        if any(row.keys() != names for row in entity_rows):
            raise ValueError("All entity_rows must have the same keys.")
        return {name: [row[name] for row in entity_rows] for name in names}
    columns = {n: list(v.val) if isinstance(v, RepeatedValue) else list(v) for n, v in entity_rows.items()}
    if len({len(v) for v in columns.values()}) > 1:
        raise ValueError("All entity rows must have the same number of values.")
    return {n: [v.string_val if isinstance(v, Value) else v for v in values] for n, values in columns.items()}


def _join_key(view: Any, given: Mapping[str, Any]) -> str:
    (column,) = view.entity_columns
    name = str(view.projection.join_key_map.get(column.name, column.name))
    if name not in given:
        raise KeyError(f"Missing join key values for keys: [{name!r}]")
    return name
