"""How each kind of section is kept: its records, how they merge, how they are finished; one file a kind.

A state is the reduction of a bag of records: folding reduces the records of events, merging those of two states. That
``reduce`` orders the bag first is why order and partition interleaving cannot matter.
"""

from collections.abc import Sequence
from typing import Protocol

from snowmelt.features.kinds import decayed, last, newest, register, tiles
from snowmelt.features.ragged import I64, Array
from snowmelt.features.sections import Section


class Fixed(Protocol):
    """A kind whose records have one length; a module is one."""

    WORDS: int

    def reduce(
        self, sections: Sequence[Section], cells: I64, columns: tuple[Array, ...], /
    ) -> tuple[I64, tuple[Array, ...]]:
        """Brings records of any order into the form of a state; cell = row * len(sections) + section."""

    def encode(self, columns: tuple[Array, ...]) -> Array:
        """uint64[R, WORDS]: the records as words."""

    def decode(self, words: Array) -> tuple[Array, ...]:
        """The columns of uint64[R, WORDS]."""


FIXED: dict[str, Fixed] = {"tiles": tiles, "decayed": decayed, "newest": newest, "register": register}

__all__ = ["FIXED", "Fixed", "decayed", "last", "newest", "register", "tiles"]
