"""A row of a data set's tables as the message that goes through Kafka."""

from typing import Any

from snowmelt.api.events.v1 import events_pb2 as pb

Row = dict[str, Any]
"""A row as Arrow gives it: None where there is no value, a map as pairs."""


def item(row: Row, tenant: str) -> pb.ItemUpsert:
    """A row of the catalogue."""
    return pb.ItemUpsert(tenant=tenant, **_given(row))


def user(row: Row, tenant: str) -> pb.UserUpsert:
    """A row of the users."""
    return pb.UserUpsert(tenant=tenant, **_given(row))


def event(row: Row, tenant: str) -> pb.Event:
    """A row of the events."""
    return pb.Event(tenant=tenant, **_given(row))


def _given(row: Row) -> Row:
    given = {name: value for name, value in row.items() if value is not None}
    return given | {"attributes": dict(given["attributes"])} if "attributes" in given else given
