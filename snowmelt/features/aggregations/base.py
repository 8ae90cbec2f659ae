"""What an aggregation is: which sections it needs, and how their finished parts become the feature's value."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.ragged import F64, Ragged
from snowmelt.features.sections import Section


@dataclass(frozen=True)
class Ask:
    """One declared aggregation, its function taken apart: ``latest_distinct(50).times``: argument 50, part "times".

    ``window_ms`` 0 is a lifetime; ``hop_ms`` is the width of a tile; ``where`` names the feature in errors.
    """

    where: str
    column: str
    argument: int
    part: str
    window_ms: int
    hop_ms: int
    event_types: tuple[str, ...]

    def refuse(self, what: str) -> SnowmeltError:
        """The error that says what of the declaration cannot be."""
        return SnowmeltError(Reason.INVALID_FIELD, f"{self.where}: {what}", field=self.where)

    def tiles(self, combine: str, measure: str = "value") -> Section:
        """The tiles section for the column and window."""
        hop = self.hop_ms if self.window_ms else 0
        keep = -(-self.window_ms // hop) + 1 if hop else 0
        return Section("tiles", self.column, measure, combine, hop_ms=hop, keep_tiles=keep)


@dataclass(frozen=True)
class Feature:
    """One compiled feature of a view.

    Attributes:
        sections: places in the view's sections.
        dtype: "float32", "float64", "bytes", or "<numpy type>[]" for a list of arrays.
    """

    name: str
    function: str
    column: str
    part: str
    sections: tuple[int, ...]
    window_ms: int
    dtype: str


class Reading(Protocol):
    """n states at their instants, section by section: online out of decoded state, offline out of all rows."""

    def tiles(self, section: int, window_ms: int) -> F64:
        """float64[n]; where the window is empty 0 for add and an infinity for min and max."""

    def decayed(self, section: int) -> F64:
        """float64[n]: the sum of key 0, 0 where there is none."""

    def keyed(self, section: int) -> Ragged:
        """n cells, columns key uint64 (ascending) and weight float64."""

    def newest(self, section: int) -> Ragged:
        """n cells, columns key uint64, time int64, type uint8, newest first."""

    def distinct(self, section: int, window_ms: int) -> F64:
        """float64[n]: about how many keys."""

    def number(self, section: int) -> F64:
        """float64[n]: the newest number, NaN where there is none."""

    def last(self, section: int) -> list[bytes | None]:
        """n payloads."""


class Remembered:
    """A reading that reads each list but once, although companions (``.times``, ``.keys``) each ask for it."""

    def __init__(self, reading: Reading) -> None:
        self.tiles, self.decayed, self.distinct = reading.tiles, reading.decayed, reading.distinct
        self.number, self.last = reading.number, reading.last
        self._reading = reading
        self._keyed: dict[int, Ragged] = {}
        self._newest: dict[int, Ragged] = {}

    def keyed(self, section: int) -> Ragged:
        """See ``Reading``."""
        if section not in self._keyed:
            self._keyed[section] = self._reading.keyed(section)
        return self._keyed[section]

    def newest(self, section: int) -> Ragged:
        """See ``Reading``."""
        if section not in self._newest:
            self._newest[section] = self._reading.newest(section)
        return self._newest[section]


class Aggregation(Protocol):
    """A function of Feast's ``Aggregation``; a module of this package is one."""

    @property
    def PARTS(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the module
        """Companions that share the section; "" is the value itself."""

    @property
    def ARGUMENT(self) -> bool:  # noqa: N802
        """Whether the function takes a number."""

    @property
    def WINDOW(self) -> str:  # noqa: N802
        """Whether a time window is "required", "optional" or "none"."""

    def columns(self, event_types: tuple[str, ...], /) -> tuple[str, ...]:
        """The columns that it takes."""

    def sections(self, ask: Ask, /) -> tuple[Section, ...]:
        """The sections that it reads."""

    def dtype(self, ask: Ask, /) -> str:
        """See ``Feature.dtype``."""

    def finish(self, feature: Feature, reading: Reading, /) -> Any:
        """float64[n], or a list of n arrays or payloads."""


def number_dtype(column: str) -> str:
    """float32, but float64 for milliseconds since 1970, which float32 would blur by minutes."""
    return "float64" if column == "event_time" else "float32"


def absent_as_nan(values: F64) -> F64:
    """Infinities, which stand for an empty window, as NaN."""
    return np.where(np.isinf(values), np.nan, values)
