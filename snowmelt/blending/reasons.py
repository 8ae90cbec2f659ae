"""Why an item is there: the source that thought most of it, and which of the user's items led to it."""

from dataclasses import dataclass

import numpy as np

from snowmelt.blending.content import Content
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.ids import Keys

NEAR = 10


@dataclass(frozen=True)
class Reason:
    """A code that a door puts into words.

    Attributes:
        source: the source that ranked the item highest, of equal ones the first; empty where none proposed it.
        because_key: the recent item that led to it; 0 where the source does not start from what the user did.
    """

    source: str
    because_key: int = 0


@dataclass(frozen=True)
class History:
    """What the user did lately.

    Attributes:
        keys: uint64[m], recent items, newest first.
        content: of those.
        sources: the candidate sources that start from them.
    """

    keys: Keys
    content: Content
    sources: frozenset[str]


def reasons(candidates: Candidates, rows: list[int], content: Content, history: History | None) -> list[Reason]:
    """One reason a row.

    The item that led to it is the one of the newest ten that shares most categories with the row, of equal ones the
    newest: the sources' own sums have no single cause.
    """
    ranks = candidates.ranks[rows]
    if not ranks.size:
        return [Reason("")] * len(rows)
    highest = np.argmin(np.where(ranks > 0, ranks, np.iinfo(np.uint16).max), axis=1).tolist()
    near = [set(theirs) for theirs in history.content.categories[:NEAR]] if history else []
    found: list[Reason] = []
    for row, column, best in zip(rows, highest, ranks.max(axis=1).tolist(), strict=True):
        source = candidates.sources[column] if best else ""
        personal = history is not None and source in history.sources
        found.append(Reason(source, _nearest(content.categories[row], history, near) if history and personal else 0))
    return found


def _nearest(categories: tuple[str, ...], history: History, near: list[set[str]]) -> int:
    shared = [len(theirs.intersection(categories)) for theirs in near]
    return int(history.keys[shared.index(max(shared))]) if shared else 0
