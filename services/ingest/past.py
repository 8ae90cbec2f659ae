"""The duplicate window of a place that begins: what was kept before it, out of the lake and, beyond it, of the log."""

from services.ingest.batch import batch_of
from services.ingest.decode import ID_COLUMNS, decode
from services.ingest.ports import History
from services.ingest.window import Window, keys_of
from snowmelt.runtime.kafka.consumer import Place


def read_back(
    history: History, place: Place, position: int, *, window: Window, incarnation: str, event_types: tuple[str, ...]
) -> Window:
    """Fills ``window`` with what an uninterrupted run would remember at ``position``.

    Where the lake is behind, the log is decided again from the lake's end on: what is kept there depends on what was
    kept a window before that end, not before ``position``.

    Raises:
        SnowmeltError: UNAVAILABLE.
    """
    column = ID_COLUMNS.get(place[0])
    if column is None or position == 0:
        return window
    ids, offsets, landed = history.kept(column, place, max(0, position - window.size), position)
    if landed < position:
        ids, offsets, _ = history.kept(column, place, max(0, landed - window.size), landed)
    window.remember(keys_of(ids), offsets)
    for records in history.replay(place, landed, position) if landed < position else ():
        batch = batch_of([records], {place: landed})
        decoded = decode(batch, incarnation, event_types)
        if decoded.keys is not None:
            window.keep(decoded.keys, batch.offsets[decoded.places])
    return window
