"""How a process's memory is shared out, so that its bound holds whatever comes."""

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa

MIB = 1_048_576
BASE_MBYTES = 320
"""What a lane takes that holds nothing: Python, Arrow, deltalake, and the C client with its queue."""
WINDOW_BYTES = 16
"""Of an id in a duplicate window."""
COPIES = 8
"""How often a record's bytes are there at most while it waits (once) and is written (as columns, tables and files)."""
LEAST_BYTES = 8 * MIB


def buffer_bytes(memory_mbytes: int, window_ids: int) -> int:
    """What the buffer may hold, beside the windows as they are now."""
    spare = (memory_mbytes - BASE_MBYTES) * MIB - window_ids * WINDOW_BYTES
    return max(spare // COPIES, LEAST_BYTES)


def give_back() -> None:
    """Gives memory that was freed back to the system; without it, what a burst has taken stays with the process."""
    pa.default_memory_pool().release_unused()
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """The C library's own call, where it is glibc."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
