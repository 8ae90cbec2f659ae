"""A folder of your own: ``catalogue`` and ``events``, and ``users`` where there are any; columns as in docs/data.md."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from snowmelt.datasets import columns, data_set, files
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.training.errors import BadDataError

CATALOGUE_COLUMNS = ("item_id", "title", "text", "categories", "price", "available_from", "event_time")
EVENT_COLUMNS = ("event_id", "user_id", "session_id", "item_id", "type", "value", "event_time", "price")
USER_COLUMNS = ("user_id", "event_time")
TYPE = r"^[a-z][a-z0-9_]{0,31}$"
MAX_NUMBER = 1e9


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
    times = files.times_ms(raw_events, "event_time", events_path)
    catalogue = _catalogue(files.read_table(catalogue_path, ("item_id",)), catalogue_path, pc.min(times).as_py())
    progress("read the catalogue", 1, 1)
    progress("read the events", 0, 1)
    events = _events(raw_events, events_path, times, catalogue)
    progress("read the events", 1, 1)
    unknown = len(events) - pc.sum(pc.is_in(events["item_id"], catalogue["item_id"].combine_chunks())).as_py()
    notes = (f"{unknown} events name an item that the catalogue lacks; it cannot be recommended",) if unknown else ()
    tables = (catalogue, _users(path, pc.min(times).as_py()), events)
    return data_set.from_tables(path.name, str(path), "your own data", tables, notes=notes)


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
    ids = columns.ids(raw, "item_id", path)
    counts = pc.value_counts(ids)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    if repeated:
        more = f" and {len(repeated) - 10} more" if len(repeated) > 10 else ""
        raise BadDataError(f"{path}: item ids occur more than once: {', '.join(repeated[:10])}{more}")
    n = len(raw)
    offered = files.times_ms(raw, "available_from", path) if "available_from" in raw.column_names else np.full(n, None)
    known = files.times_ms(raw, "event_time", path) if "event_time" in raw.column_names else np.full(n, start_ms)
    return data_set.table(
        data_set.CATALOGUE,
        {
            "item_id": ids,
            "title": columns.text(raw, "title", path, max_bytes=512),
            "text": columns.text(raw, "text", path, max_bytes=16_384),
            "categories": columns.categories(raw, path),
            "price": columns.numbers(raw, "price", path, 0, MAX_NUMBER),
            "available_from_ms": offered,
            "attributes": columns.other(raw, CATALOGUE_COLUMNS, path),
            "event_time_ms": known,
        },
    )


def _events(raw: pa.Table, path: Path, times: pa.ChunkedArray, catalogue: pa.Table) -> pa.Table:
    users = columns.ids(raw, "user_id", path, required=False)
    sessions = columns.ids(raw, "session_id", path, required=False)
    nobody = pc.and_(pc.equal(users, ""), pc.equal(sessions, ""))
    files.refuse(path, nobody, users, "user_id", "expected a user_id or a session_id")
    items = columns.ids(raw, "item_id", path)
    types = pc.fill_null(files.strings(raw, "type", path), "")
    files.refuse(path, pc.invert(pc.match_substring_regex(types, TYPE)), types, "type", f"expected a word like {TYPE}")
    known = data_set.known_at(catalogue, items, times.to_numpy())
    rows = pa.array(known, mask=known < 0)
    price = columns.numbers(raw, "price", path, 0, MAX_NUMBER)
    values = {
        "user_id": users,
        "session_id": sessions,
        "item_id": items,
        "type": types,
        "value": columns.numbers(raw, "value", path, -MAX_NUMBER, MAX_NUMBER),
        "event_time_ms": times.combine_chunks(),
        "categories": pc.fill_null(catalogue["categories"].combine_chunks().take(rows), []),
        "price": pc.coalesce(price, catalogue["price"].combine_chunks().take(rows)),
    }
    values["event_id"] = columns.ids(raw, "event_id", path) if "event_id" in raw.column_names else _event_ids(values)
    return data_set.table(data_set.EVENTS, values)


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
    known = files.times_ms(raw, "event_time", path) if "event_time" in raw.column_names else np.full(len(raw), start_ms)
    return data_set.table(
        data_set.USERS,
        {
            "user_id": columns.ids(raw, "user_id", path),
            "attributes": columns.other(raw, USER_COLUMNS, path),
            "event_time_ms": known,
        },
    )
