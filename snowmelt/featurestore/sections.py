"""The compact form of a view's sections that drives the merge in Lua."""

import struct
from collections.abc import Sequence

from snowmelt.features.sections import Section

_TILES = {"add": b"a", "min": b"n", "max": b"x"}


def pack_spec(sections: Sequence[Section]) -> bytes:
    """9 bytes a section: a letter for the kind, and its parameter as a big-endian float64.

    Raises:
        ValueError: a kind of section that the merge in Lua does not know.
    """
    return b"".join(_pack(section) for section in sections)


def _pack(section: Section) -> bytes:
    match section.kind:
        case "tiles":
            letter, parameter = _TILES[section.combine], float(section.keep_tiles)
        case "decayed":
            letter, parameter = b"d", float(section.half_life_ms)
        case "newest":
            letter, parameter = b"w", float(section.limit)
        case "register":
            letter, parameter = b"r", 0.0
        case "last":
            letter, parameter = b"l", 0.0
        case other:
            raise ValueError(f"no merge in Lua for a section of kind {other!r}")
    return struct.pack(">cd", letter, parameter)
