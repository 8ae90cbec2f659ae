"""An answer of ``get_online_features`` that stays columns; Feast's message of it is made only where it is asked for."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd
from feast import ValueType
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.type_map import python_values_to_proto_values
from google.protobuf.timestamp_pb2 import Timestamp

from snowmelt.featurestore.feast_columns import Column, frame_values, python_values


class ColumnarResponse(OnlineResponse):
    """n rows of join keys and features, finished at one instant.

    Args:
        keys: the join keys by name, n values each.
        features: the features by name, n values each.
        types: gives Feast's type of each column; asked where the message is made.
        as_of_ms: the instant; it stands as the event timestamp of every value.
    """

    def __init__(
        self,
        keys: Mapping[str, Sequence[Any]],
        features: Mapping[str, Column],
        types: Callable[[], Mapping[str, ValueType]],
        as_of_ms: int,
    ) -> None:
        self._keys = keys
        self._features = features
        self._types = types
        self._as_of_ms = as_of_ms

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """The columns by name, as lists of plain Python values; None where a feature is absent."""
        columns: dict[str, Any] = {name: list(values) for name, values in self._keys.items()}
        columns.update((name, python_values(values)) for name, values in self._features.items())
        return self._with_timestamps(columns) if include_event_timestamps else columns

    def to_df(self, include_event_timestamps: bool = False) -> pd.DataFrame:
        """The columns as a data frame; numbers are float64, NaN where a feature is absent."""
        columns: dict[str, Any] = dict(self._keys)
        columns.update((name, frame_values(values)) for name, values in self._features.items())
        return pd.DataFrame(self._with_timestamps(columns) if include_event_timestamps else columns, copy=False)

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override] # Feast fills it in at once
        """Feast's message of the answer, for its servers and for on-demand views."""
        message = GetOnlineFeaturesResponse()
        at = Timestamp()
        at.FromMilliseconds(self._as_of_ms)
        types = self._types()
        for name, values in self.to_dict().items():
            message.metadata.feature_names.val.append(name)
            statuses = [FieldStatus.NOT_FOUND if v is None else FieldStatus.PRESENT for v in values]
            protos = python_values_to_proto_values(values, types[name])
            message.results.add(values=protos, statuses=statuses, event_timestamps=[at] * len(values))
        return message

    def _with_timestamps(self, columns: dict[str, Any]) -> dict[str, Any]:
        stamped: dict[str, Any] = {}
        for name, values in columns.items():
            stamped[name] = values
            stamped[name + TIMESTAMP_POSTFIX] = [self._as_of_ms // 1000] * len(values)
        return stamped
