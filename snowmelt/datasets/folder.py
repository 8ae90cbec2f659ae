"""A folder of your own: ``catalogue`` and ``events``, and ``users`` where there are any; columns as in docs/data.md."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.datasets import cells, columns, data_set, files, rules
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.training.errors import BadDataError

CATALOGUE_COLUMNS = ("item_id", "title", "text", "categories", "price", "available_from", "event_time")
EVENT_COLUMNS = ("event_id", "user_id", "session_id", "item_id", "type", "value", "event_time", "price")
USER_COLUMNS = ("user_id", "event_time")
FILE_NAMES = {"available_from_ms": "available_from", "event_time_ms": "event_time"}
"""What a field's column is called in a file, where that is something else."""


def load(path: Path, progress: Progress = data_set.silent) -> DataSet:
    """The data set of a folder.

    Raises:
        BadDataError: a file is missing, unreadable or empty, or a row does not fit; the message names both.
    """
    catalogue_path, events_path = (_find(path, stem) for stem in ("catalogue", "events"))
    if catalogue_path is None or events_path is None:
        kinds = ", ".join(files.SUFFIXES)
        raise BadDataError(f"{path}: expected a file catalogue and a file events, each one of {kinds}")
    progress("read the catalogue", 0, 1)
    raw_events = files.read_table(events_path, ("item_id", "type", "event_time"))
    times = cells.times_ms(raw_events, "event_time", events_path)
    catalogue = _catalogue(files.read_table(catalogue_path, ("item_id",)), catalogue_path, pc.min(times).as_py())
    progress("read the catalogue", 1, 1)
    progress("read the events", 0, 1)
    events = _events(raw_events, events_path, times, catalogue)
    progress("read the events", 1, 1)
    unknown = len(events) - pc.sum(pc.is_in(events["item_id"], catalogue["item_id"].combine_chunks())).as_py()
    notes = files.notes((catalogue_path, events_path, _find(path, "users")))
    if unknown:
        notes += (f"{unknown} events name an item that the catalogue lacks; it cannot be recommended",)
    tables = (catalogue, _users(path, pc.min(times).as_py()), data_set.in_time_order(events))
    first_rows = _first_rows(events["type"].combine_chunks(), events_path)
    return data_set.from_tables(path.name, str(path), "your own data", tables, notes=notes, first_rows=first_rows)


def _find(folder: Path, stem: str) -> Path | None:
    """The one file of a stem; None where there is none.

    Raises:
        BadDataError: there are several.
    """
    found = [folder / f"{stem}{suffix}" for suffix in files.SUFFIXES if (folder / f"{stem}{suffix}").exists()]
    if len(found) > 1:
        raise BadDataError(f"{folder}: both {found[0].name} and {found[1].name} are there; keep one")
    return found[0] if found else None


def _catalogue(raw: pa.Table, path: Path, start_ms: int) -> pa.Table:
    offered = _times(raw, "available_from", path)
    made = data_set.rows(
        data_set.CATALOGUE,
        {
            "item_id": columns.text(raw, "item_id", path),
            "title": columns.text(raw, "title", path),
            "text": columns.text(raw, "text", path),
            "categories": columns.categories(raw, path),
            "price": columns.numbers(raw, "price", path),
            "available_from_ms": offered,
            "attributes": columns.other(raw, CATALOGUE_COLUMNS, path),
            "event_time_ms": pc.fill_null(_times(raw, "event_time", path), start_ms),
        },
    )
    rules.hold(pb.ItemUpsert, made, path, FILE_NAMES)
    rules.unique(made["item_id"].combine_chunks(), path, "item_id")
    return data_set.in_time_order(made)


def _times(raw: pa.Table, column: str, path: Path) -> pa.Array:
    """int64[n], null where absent."""
    if column not in raw.column_names:
        return pa.nulls(len(raw), pa.int64())
    return cells.times_ms(raw, column, path, optional=True).combine_chunks()


def _events(raw: pa.Table, path: Path, times: pa.ChunkedArray, catalogue: pa.Table) -> pa.Table:
    """The events, in the order of the file."""
    items = columns.text(raw, "item_id", path)
    known = data_set.known_at(catalogue, items, times.to_numpy())
    rows = pa.array(known, mask=known < 0)
    price = columns.numbers(raw, "price", path)
    values = {
        "user_id": columns.text(raw, "user_id", path),
        "session_id": columns.text(raw, "session_id", path),
        "item_id": items,
        "type": columns.text(raw, "type", path),
        "value": columns.numbers(raw, "value", path),
        "event_time_ms": times.combine_chunks(),
        "categories": pc.fill_null(catalogue["categories"].combine_chunks().take(rows), []),
        "price": pc.coalesce(price, catalogue["price"].combine_chunks().take(rows)),
    }
    values["event_id"] = columns.text(raw, "event_id", path) if "event_id" in raw.column_names else _event_ids(values)
    made = data_set.rows(data_set.EVENTS, values)
    rules.hold(pb.Event, made, path, FILE_NAMES)
    rules.unique(made["event_id"].combine_chunks(), path, "event_id")
    return made


def _first_rows(types: pa.Array, path: Path) -> dict[str, str]:
    coded = types.dictionary_encode()
    firsts = np.unique(coded.indices.to_numpy(), return_index=True)[1]
    return {name: f"{path}: row {row + 1}" for name, row in zip(coded.dictionary.to_pylist(), firsts, strict=True)}


def _event_ids(values: dict[str, pa.Array]) -> pa.Array:
    """An id a row out of what it says, so that loading the same file again makes no new event.

    Rows that say the same are told apart by how many of them came before.
    """
    names = ("user_id", "session_id", "item_id", "type", "value", "event_time_ms")
    words = [pc.fill_null(pc.cast(values[name], pa.string()), "") for name in names]
    seen: dict[str, int] = {}
    made = []
    for row in pc.binary_join_element_wise(*words, "\x1f").to_pylist():
        before = seen.get(row, 0)
        seen[row] = before + 1
        made.append(xxhash.xxh3_128_hexdigest(f"{row}\x1f{before}".encode()))
    return pa.array(made)


def _users(folder: Path, start_ms: int) -> pa.Table:
    path = _find(folder, "users")
    if path is None:
        return data_set.USERS.empty_table()
    raw = files.read_table(path, ("user_id",))
    made = data_set.rows(
        data_set.USERS,
        {
            "user_id": columns.text(raw, "user_id", path),
            "attributes": columns.other(raw, USER_COLUMNS, path),
            "event_time_ms": pc.fill_null(_times(raw, "event_time", path), start_ms),
        },
    )
    rules.hold(pb.UserUpsert, made, path, FILE_NAMES)
    rules.unique(made["user_id"].combine_chunks(), path, "user_id")
    return data_set.in_time_order(made)
