"""A data set as the rows that every fold reads, as if it had gone through Kafka and the lake."""

import numpy as np
import pyarrow as pa

from snowmelt.api.events.v1.events_pb2 import CatalogChange
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.datasets.data_set import DataSet
from snowmelt.datasets.load import catalogue_records
from snowmelt.features.rows import Rows
from snowmelt.features.wire import Types


def event_rows(data: DataSet, views: Types, tenant: str = DEFAULT_TENANT) -> Rows:
    """The events.

    Raises:
        SnowmeltError: UNKNOWN_EVENT_TYPE where a type is not declared.
    """
    n = len(data.events)
    times = data.events["event_time_ms"].cast(pa.timestamp("ms", "UTC"))
    table = data.events.append_column("event_time", times)
    table = table.append_column("tenant", pa.array([tenant] * n)).append_column("offset", pa.array(np.arange(n)))
    return Rows.from_arrow_events(table, views)


def catalogue_rows(data: DataSet, tenant: str = DEFAULT_TENANT) -> Rows:
    """The changes of the catalogue."""
    payloads = [value for _, value in catalogue_records(data.catalogue, tenant)]
    changes = [CatalogChange.FromString(payload) for payload in payloads]
    return Rows.from_catalog(changes, payloads, range(len(payloads)))
