"""What a view keeps: its sections, the unit of state that Python folds and Redis merges."""

from collections.abc import Sequence
from dataclasses import dataclass

ORDER = ("tiles", "decayed", "newest", "register", "last")
"""The kinds in the order in which a state holds them; ``last`` ends it, since only its records vary in length."""


HLL_REGISTERS = 256


@dataclass(frozen=True)
class Section:
    """One section of a view's state; features that differ in their window alone share it.

    Attributes:
        kind: one of ``ORDER``.
        column: what of a row goes in (see ``columns.py``).
        measure: "value" takes the column's number, "one" takes 1 where the column is present, "key" takes its key.
        combine: how two records of one key become one; tiles alone use it.
        hop_ms: width of a tile; 0 for a lifetime, kept in one tile of key 0.
        keep_tiles: tiles older than the newest by more than this are dropped at every merge; 0 for a lifetime.
        half_life_ms: of a decayed sum.
        limit: how many records ``newest`` keeps.
    """

    kind: str
    column: str
    measure: str = "value"
    combine: str = ""
    hop_ms: int = 0
    keep_tiles: int = 0
    half_life_ms: int = 0
    limit: int = 0

    @property
    def order(self) -> tuple[int, str, int, int, str, str, int]:
        """Where the section stands in its view; sections of one group stand side by side."""
        return (ORDER.index(self.kind), *self.traits, self.column, self.measure, self.half_life_ms)

    @property
    def traits(self) -> tuple[str, int, int]:
        """What sections of one group share besides their kind."""
        return (self.combine, self.hop_ms, self.limit)


@dataclass(frozen=True)
class Group:
    """Sections [start, stop) of a view that are folded, decoded and finished in one go."""

    kind: str
    start: int
    sections: tuple[Section, ...]

    @property
    def stop(self) -> int:
        """One past the last section's index in the view."""
        return self.start + len(self.sections)


def groups(sections: Sequence[Section]) -> tuple[Group, ...]:
    """The groups of a view's sections, in order."""
    found: list[Group] = []
    start = 0
    for end in range(1, len(sections) + 1):
        first = sections[start]
        if end == len(sections) or (sections[end].kind, sections[end].traits) != (first.kind, first.traits):
            found.append(Group(first.kind, start, tuple(sections[start:end])))
            start = end
    return tuple(found)
