"""Rows held against the rules of the protos before anything is sent; an error names file, row, column and rule."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import Message

from buf.validate import validate_pb2
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.contracts.topics import IMPRESSION_TYPE
from snowmelt.datasets import messages
from snowmelt.datasets.messages import Row
from snowmelt.runtime.limits import Mask, Number, Rule, Text, rules_of
from snowmelt.runtime.validation import check
from snowmelt.training.errors import BadDataError

RULES: dict[type[Message], dict[str, Rule]] = {
    kind: rules_of(kind.DESCRIPTOR) for kind in (pb.ItemUpsert, pb.UserUpsert, pb.Event)
}
_MESSAGES: dict[type[Message], Callable[[Row, str], Message]] = {
    pb.ItemUpsert: messages.item,
    pb.UserUpsert: messages.user,
    pb.Event: messages.event,
}
_TIME = pb.Event.DESCRIPTOR.fields_by_name["event_time_ms"].GetOptions().Extensions[validate_pb2.field].int64
MIN_TIME_MS, MAX_TIME_MS = _TIME.gte, _TIME.lte
SHOWN = 60
"""Characters of a value that an error shows."""


def hold(
    kind: type[Message],
    rows: pa.Table,
    path: Path,
    names: Mapping[str, str],
    row_of: Callable[[int, Row], int] = lambda place, _: place + 1,
) -> None:
    """Holds the rows of a table against the rules of the message that each becomes.

    Columns find the rows that may break one, protovalidate says which rule it is: a message a row would take 30 s for
    a million of them.

    Args:
        kind: ItemUpsert, UserUpsert or Event.
        rows: with columns that are called as the message's fields.
        path: the file, for the error.
        names: what a field's column is called in the file, where that is something else.
        row_of: the row of the file, from 1, of a row here, by its place and what it says.

    Raises:
        BadDataError: a row breaks a rule; names the first.
    """
    for place in np.flatnonzero(_suspects(kind, rows)).tolist():
        (row,) = rows.slice(place, 1).to_pylist()
        try:
            check(_MESSAGES[kind](row, DEFAULT_TENANT))
        except SnowmeltError as error:
            first = error.violations[0]
            said = f"{_described(row, first.field, names)}{first.detail}"
            raise BadDataError(f"{path}: row {row_of(place, row)}: {said}") from None


def _suspects(kind: type[Message], rows: pa.Table) -> Mask:
    bad = np.zeros(len(rows), np.bool_)
    for name, rule in RULES[kind].items():
        if name in rows.column_names:
            bad |= _broken(rule, rows[name].combine_chunks())
    if kind is pb.Event:  # what the message's own rule asks for, which is no rule of a column
        nobody = pc.and_(pc.equal(rows["user_id"], ""), pc.equal(rows["session_id"], ""))
        bad |= nobody.to_numpy().astype(np.bool_)
    return bad


def _broken(rule: Rule, column: pa.Array) -> Mask:
    if isinstance(rule, Text):
        return rule.broken(column)
    if isinstance(rule, Number):
        values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        return rule.broken(values, column.is_valid().to_numpy(zero_copy_only=False).astype(np.bool_))
    bounds = column.offsets.to_numpy().astype(np.int64)
    flat = (column.keys, column.items) if pa.types.is_map(column.type) else (column.values,)
    whole = (each.slice(bounds[0], bounds[-1] - bounds[0]) for each in flat)
    return rule.broken(np.diff(bounds), *whole)


def _described(row: Row, field: str, names: Mapping[str, str]) -> str:
    """Column and value that a field's path (``price``, ``categories[1]``, ``attributes[colour]``) stands for."""
    if not field:
        return ""
    column, _, place = field.partition("[")
    value = row[column]
    if column == "attributes" and place:
        column = place[:-1]
        value = dict(value)[column]
    elif place:
        value = value[int(place[:-1])]
    return f"{names.get(column, column)} is {shown(value)}, "


def shown(value: object) -> str:
    """A value as an error shows it, cut where it is long."""
    said = repr(value)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}…"


def column_names(names: Sequence[str], path: Path) -> None:
    """Holds the names of the columns that become attributes against the rule of an attribute's name.

    Raises:
        BadDataError: one has no name or too long a one.
    """
    for name in names:
        try:
            check(
                messages.user(
                    {"user_id": "u", "attributes": [(name, "")], "event_time_ms": MIN_TIME_MS}, DEFAULT_TENANT
                )
            )
        except SnowmeltError as error:
            said = f"a column is called {shown(name)}; the name of an attribute {error.violations[0].detail}"
            hint = "" if name else "; pandas writes its index so, and leaves it out with to_csv(index=False)"
            raise BadDataError(f"{path}: {said}{hint}") from None


def unique(values: pa.Array, path: Path, column: str, row_of: Callable[[int], int] = lambda place: place + 1) -> None:
    """Refuses an id that stands in two rows.

    Raises:
        BadDataError: names both rows.
    """
    coded = values.dictionary_encode()
    codes: npt.NDArray[np.int32] = coded.indices.to_numpy()
    if len(coded.dictionary) == len(values):
        return
    first = np.unique(codes, return_index=True)[1]
    again = int(np.flatnonzero(first[codes] != np.arange(len(codes)))[0])
    earlier = int(first[codes[again]])
    said = f"{column} is {shown(values[again].as_py())}, as in row {row_of(earlier)}; each row needs one of its own"
    raise BadDataError(f"{path}: row {row_of(again)}: {said}")


def declared(first_rows: Mapping[str, str], event_types: Sequence[str]) -> None:
    """Holds a data set's event types (with where each occurs first) against those that the views declare.

    Raises:
        BadDataError: one is not declared, or is not for clients to send; names its first row.
    """
    known = [name for name in event_types if name != IMPRESSION_TYPE]
    for name, where in first_rows.items():
        if name not in known:
            expected = f"expected a type that feature_repo declares: {', '.join(known)}"
            raise BadDataError(f"{where}: type is {shown(name)}, {expected}")
