"""How a process's memory is shared out, so that its bound holds whatever comes."""

import ctypes
from collections.abc import Callable
from functools import cache

import pyarrow as pa

MIB = 1_048_576
BASE_MBYTES = 304
"""What a lane takes that holds nothing: Python, Arrow, deltalake, and the C client with its queue."""
WINDOW_BYTES = 28
"""Of an id in a duplicate window: 16 that it is kept in, and as measured what keeping them in order takes."""
COPIES = 8
"""How often a record's bytes are there at most while it waits (once) and is written (as columns, tables and files)."""
LEAST_BYTES = 4 * MIB
ARENAS = 2
_M_ARENA_MAX = -8


def buffer_bytes(memory_mbytes: int, window_ids: int) -> int:
    """What the buffer may hold, beside the windows as they are now."""
    spare = (memory_mbytes - BASE_MBYTES) * MIB - window_ids * WINDOW_BYTES
    return max(spare // COPIES, LEAST_BYTES)


def needed_mbytes(window_ids: int) -> int:
    """What a lane takes with so many ids in its windows, however little it reads ahead."""
    return BASE_MBYTES + -(-(window_ids * WINDOW_BYTES + LEAST_BYTES * COPIES) // MIB)


def one_heap() -> None:
    """Has Arrow and all threads share the C library's memory: what one has freed, another takes.

    Else each of some twenty threads of native code keeps what it once needed, and Arrow what it did: 40 MB of a burst.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if (option := _of_glibc("mallopt")) is not None:
        option(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Gives memory that was freed back to the system; without it, what a burst has taken stays with the process."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


@cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    """A call of the C library, where it is glibc."""
    return getattr(ctypes.CDLL(None), name, None)
