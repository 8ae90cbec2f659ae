"""The point-in-time form: a view's features at any instants, out of all rows at once and without any state.

Rows are sorted once by entity and time. What had happened to an entity at an instant is then a range of rows, and a
window the difference of two as-of reads of running sums. The values are those that ``finish`` gives on the state folded
from the rows at or before the instant: to the bit for counts, keys and times, to the rounding of float64 for sums.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.features.asof_reading import Asked, AsOfReading, Histories
from snowmelt.features.columns import refuse_unknown
from snowmelt.features.ragged import I64, offsets_of
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView, Values


class AsOf:
    """The rows of one view, ready to be asked; keeps what it has summed up for the next ``read``."""

    def __init__(self, view: CompiledView, rows: Rows | Sequence[Rows], tenant: str = DEFAULT_TENANT) -> None:
        """``rows``: of any topics and tenants, in any order; those of the view's topics and of ``tenant`` count."""
        self._view = view
        parts = [r for r in ([rows] if isinstance(rows, Rows) else rows) if r.topic in view.topics and len(r)]
        own = Rows.concat(parts, "+".join(view.topics)) if parts else None
        words = None if own is None else own.user_words if view.entity == "user" else own.item_words
        if own is not None and words is not None:
            mine = own.tenant_words.equal(tenant) & ~words.equal("")
            if not mine.all():
                own, words = own.take(mine), words.take(mine)
        self._code: dict[str, int] = {} if words is None else {e: code for code, e in enumerate(words.values)}
        times = np.empty(0, np.int64) if own is None else own.times_ms
        codes = np.empty(0, np.int64) if words is None else words.codes
        self._line = Timeline(codes, times, len(self._code))
        self._histories = Histories(view, None if own is None else own.take(self._line.order), codes[self._line.order])

    def codes(self, entities: Sequence[str]) -> I64:
        """int64[n]: a number for each entity, -1 where it has no rows; ``read_codes`` takes them."""
        found = self._code
        return np.fromiter((found.get(e, -1) for e in entities), np.int64, len(entities))

    def read(self, entities: Sequence[str], times_ms: npt.ArrayLike, features: Sequence[str] | None = None) -> Values:
        """The features (None: all) of n (entity, instant), as ``CompiledView.finish`` gives them.

        Raises:
            SnowmeltError: INVALID_FIELD for a feature that the view does not have.
        """
        return self.read_codes(self.codes(entities), times_ms, features)

    def read_codes(self, codes: I64, times_ms: npt.ArrayLike, features: Sequence[str] | None = None) -> Values:
        """``read`` by the numbers of ``codes``.

        Raises:
            SnowmeltError: INVALID_FIELD for a feature that the view does not have.
        """
        names = [f.name for f in self._view.features]
        for name in features or ():
            refuse_unknown(name, names, f"{self._view.name}: feature")
        times = np.asarray(times_ms, np.int64)
        order = np.argsort(self._line.moments(codes, times), kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        asked = Asked(self._line, codes[order], times[order])
        values = self._view.values(AsOfReading(self._histories, asked), features)
        return {name: _ordered(column, back) for name, column in values.items()}


def _ordered(column: Any, back: I64) -> Any:
    if isinstance(column, np.ndarray):
        return column[back]
    return [column[place] for place in back.tolist()]


class Timeline:
    """Rows in order of entity and time, and where in them an instant lies.

    Each entity has a stretch of one number line to itself, as long as its history: one binary search answers for all.
    """

    def __init__(self, codes: I64, times_ms: I64, entities: int) -> None:
        """Raises SnowmeltError (INVALID_FIELD) where the histories together are longer than the number line."""
        far = np.iinfo(np.int64).max
        self._first = np.full(entities, far)
        np.minimum.at(self._first, codes, times_ms)
        newest = np.full(entities, -1)
        np.maximum.at(newest, codes, times_ms)
        self._first[newest < 0] = 0
        self._span = np.maximum(newest - self._first, 0)
        if float(self._span.astype(np.float64).sum()) + 2.0 * entities >= float(far):
            raise SnowmeltError(Reason.INVALID_FIELD, "too many long histories for one as-of read: split the entities")
        self._base = offsets_of(self._span + 2)
        moments = self.moments(codes, times_ms)
        self.order: I64 = np.argsort(moments, kind="stable")
        self._moments = moments[self.order]
        self.starts: I64 = np.searchsorted(self._moments, self._base)

    def moments(self, codes: I64, times_ms: I64) -> I64:
        """int64[n]: places on the number line; -1 for the entity -1."""
        if not len(self._first):
            return np.full(len(codes), -1)
        line: I64 = self._base[codes] + 1 + np.clip(times_ms - self._first[codes], -1, self._span[codes])
        line[codes < 0] = -1
        return line

    def until(self, codes: I64, times_ms: I64) -> I64:
        """int64[n]: one past the last row of each entity at or before its time, or where the entity's rows start."""
        return np.searchsorted(self._moments, self.moments(codes, times_ms), side="right")
