"""What a store holds, in a few numbers: two stores that applied the same records, in any order, agree.

Counts, sets, times and contents are exact, whatever the order; they go into a hash. Sums of fractions differ in their
last bits by the order in which they were added; they are compared as sums, each record with a weight of its own, so
that one record's excess cannot hide another's lack.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from snowmelt.features.columns import NUMBERS
from snowmelt.features.ragged import Array, Ragged
from snowmelt.features.sections import Group
from snowmelt.features.views import CompiledView

CHUNK = 1000
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class ViewDigest:
    """One view of a store.

    Attributes:
        entities: how many states there are.
        sha256: over entities and everything exact, in hexadecimal.
        sums: weighted sums of what is not exact, by section.
    """

    entities: int
    sha256: str
    sums: Mapping[str, float] = field(default_factory=dict)

    def agrees(self, other: "ViewDigest", tolerance: float = 1e-9) -> bool:
        """Whether both hold the same; ``tolerance`` is relative and for ``sums`` alone."""
        exact = (self.entities, self.sha256, self.sums.keys()) == (other.entities, other.sha256, other.sums.keys())
        return exact and all(
            math.isclose(value, other.sums[name], rel_tol=tolerance, abs_tol=tolerance)
            for name, value in self.sums.items()
        )


def digest_view(view: CompiledView, states: Iterable[tuple[str, bytes]]) -> ViewDigest:
    """The digest of (entity, packed state), sorted by entity, whole or in any chunks.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where other views wrote a state.
    """
    sha, count = hashlib.sha256(), 0
    sums: dict[str, float] = {}
    for chunk in _chunks(states):
        sha.update("\n".join(entity for entity, _ in chunk).encode())
        for group, part in zip(view.groups, view.decode([state for _, state in chunk]).parts, strict=True):
            sha.update(part.offsets.astype(">i8").tobytes())
            for exact in _exact_columns(group, part):
                sha.update(exact)
            _add_inexact(group, part, count, sums)
        count += len(chunk)
    return ViewDigest(count, sha.hexdigest(), sums)


def alike(
    view: CompiledView,
    ones: Iterable[tuple[str, bytes]],
    others: Iterable[tuple[str, bytes]],
    tolerance: float = 1e-9,
) -> bool:
    """Whether two stores hold the same states, each compared by itself; both sorted by entity, as in ``digest_view``.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where other views wrote a state.
    """
    for one, other in zip_longest(_chunks(ones), _chunks(others), fillvalue=()):
        if [entity for entity, _ in one] != [entity for entity, _ in other]:
            return False
        parts = [view.decode([state for _, state in some]).parts for some in (one, other)]
        if not all(_same(group, a, b, tolerance) for group, a, b in zip(view.groups, *parts, strict=True)):
            return False
    return True


def _same(group: Group, one: Ragged, other: Ragged, tolerance: float) -> bool:
    if not np.array_equal(one.offsets, other.offsets):
        return False
    place = _inexact_column(group)
    near = place is None or np.allclose(one.columns[place], other.columns[place], rtol=tolerance, atol=tolerance)
    return near and list(_exact_columns(group, one)) == list(_exact_columns(group, other))


def _exact_columns(group: Group, part: Ragged) -> Iterator[bytes]:
    for place, column in enumerate(part.columns):
        if column.dtype == object:
            yield b"".join(len(payload).to_bytes(4, "big") + payload for payload in column)
        elif place == _inexact_column(group):
            exact = ~_inexact_sections(group)[part.cells % len(group.sections)]
            yield np.ascontiguousarray(column[exact]).astype(column.dtype.newbyteorder(">")).tobytes()
        else:
            yield column.astype(column.dtype.newbyteorder(">")).tobytes()


def _add_inexact(group: Group, part: Ragged, before: int, sums: dict[str, float]) -> None:
    place = _inexact_column(group)
    if place is None:
        return
    width = len(group.sections)
    cells = part.cells
    weights = 1 + ((cells + before * width) * _GOLDEN) % 1
    totals = np.bincount(cells % width, part.columns[place] * weights, minlength=width)
    for index in np.flatnonzero(_inexact_sections(group)).tolist():
        section = group.sections[index]
        name = f"{group.start + index} {section.kind} {section.column} {section.measure}"
        sums[name] = sums.get(name, 0.0) + float(totals[index])


def _inexact_column(group: Group) -> int | None:
    return {"tiles": 1, "decayed": 2}.get(group.kind)


def _inexact_sections(group: Group) -> Array:
    if group.kind == "decayed":
        return np.ones(len(group.sections), np.bool_)
    fractions = (s.measure != "one" and s.column.rpartition(".")[2] in NUMBERS for s in group.sections)
    return np.array([s.combine == "add" for s in group.sections]) & np.fromiter(fractions, np.bool_)


def _chunks(states: Iterable[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    chunk: list[tuple[str, bytes]] = []
    for state in states:
        chunk.append(state)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
