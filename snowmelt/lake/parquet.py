"""How rows are laid out in Parquet."""

from deltalake import ColumnProperties, WriterProperties

_HARDLY_REPEAT = ("event_id", "event_time", "as_of", "offset", "record_time")
"""A dictionary of values that hardly repeat takes half of the time of a write, and makes its file larger."""


def writer(row_group_rows: int | None = None) -> WriterProperties:
    """What every file of the lake is written with.

    Args:
        row_group_rows: at most so many in a group; None: as the library has it.
    """
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        max_row_group_size=row_group_rows,
        column_properties={name: ColumnProperties(dictionary_enabled=False) for name in _HARDLY_REPEAT},
    )
