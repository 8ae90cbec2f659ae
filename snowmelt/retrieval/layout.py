"""Where each row of the catalogue has its vector: in the release's main part, or in a small part for what is newer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """The places of the vectors of a catalogue of N rows; a change makes a new value.

    Attributes:
        main_rows: int64[T], the row of each place of the main part; -1: tombstone.
        fresh_rows: int64[m], the row of each place of the fresh part.
        places: int64[N], t in the main part, T + f in the fresh one, -1 nowhere.
    """

    main_rows: Rows
    fresh_rows: Rows
    places: Rows

    @classmethod
    def of(cls, main_rows: Rows, fresh_rows: Rows, rows: int) -> "Layout":
        """The layout of ``rows`` rows; a place of the main part whose row has a fresh vector becomes a tombstone."""
        places = np.full(rows, -1, np.int64)
        kept = main_rows >= 0
        places[main_rows[kept]] = np.flatnonzero(kept)
        replaced = places[fresh_rows]
        alive = main_rows.copy()
        alive[replaced[replaced >= 0]] = -1
        places[fresh_rows] = len(main_rows) + np.arange(len(fresh_rows))
        return cls(alive, fresh_rows, places)

    def __len__(self) -> int:
        return len(self.places)

    def in_main(self, rows: Rows) -> tuple[Mask, Rows]:
        """Which of some rows stand in the main part, bool[n], and where those do."""
        places = self.places[rows]
        mine = (places >= 0) & (places < len(self.main_rows))
        return mine, places[mine]

    def in_fresh(self, rows: Rows) -> tuple[Mask, Rows]:
        """Which of some rows stand in the fresh part, bool[n], and where those do."""
        places = self.places[rows] - len(self.main_rows)
        mine = places >= 0
        return mine, places[mine]
