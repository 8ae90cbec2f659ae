"""A catalogue, a user and candidates, small enough to be worked out by hand."""

from dataclasses import dataclass, field, replace

import numpy as np

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import Keys, item_keys, word_keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.contracts.user_state import UserState
from snowmelt.features.defaults import default_views
from snowmelt.features.views import CompiledViews

NOW = 1_700_000_000_000
TITLES = ("red wooden train", "red wooden boat", "blue glass vase", "tin lantern", "paper lantern garland")
CATEGORIES: tuple[tuple[str, ...], ...] = (("toy",), ("toy", "bath"), ("home",), ("light", "home"), ())
IDS = ("a", "b", "c", "d", "e")
KEYS = item_keys("default", IDS)
SOURCES = ("vectors", "popularity_7d")


@dataclass
class Items:
    """An ItemSource over five items; ``counts`` by feature, each float32[5]."""

    counts: dict[str, np.ndarray]
    content: ItemColumns = field(
        default_factory=lambda: ItemColumns(
            keys=KEYS,
            ids=IDS,
            titles=TITLES,
            texts=("",) * 5,
            categories=CATEGORIES,
            prices=np.array([10.0, 20.0, np.nan, 0.0, 5.0]),
            available_from_ms=np.array([NOW - day * DAY_MS for day in (100, 50, 10, 5, 1)], np.int64),
            withdrawn=np.zeros(5, np.bool_),
        )
    )
    compiled: CompiledViews = field(default_factory=default_views)

    def columns(self) -> ItemColumns:
        return self.content

    def rows(self, keys: Keys) -> Rows:
        places = {int(key): row for row, key in enumerate(self.content.keys)}
        return np.array([places.get(int(key), -1) for key in keys], np.int64)

    def statistics(self, keys: Keys, as_of_ms: int) -> dict[str, np.ndarray]:
        rows = self.rows(keys)
        return {name: np.where(rows >= 0, of[rows], 0).astype(np.float32) for name, of in self.counts.items()}

    def age_ms(self) -> float | None:
        return 1.0

    def views(self) -> CompiledViews:
        return self.compiled

    def rename(self, row: int, title: str) -> None:
        """New content, as the replica gives it: a new value."""
        titles = list(self.content.titles)
        titles[row] = title
        self.content = replace(self.content, titles=tuple(titles))


def user() -> UserState:
    """Took the boat two days ago and the vase ten days ago; likes toys three times as much as homes."""
    return UserState(
        recent_keys=KEYS[[1, 2]],
        recent_times_ms=np.array([NOW - 2 * DAY_MS, NOW - 10 * DAY_MS], np.int64),
        recent_types=np.array([3, 0], np.uint8),
        seen_keys=KEYS[[1, 2]],
        type_counts={"purchase": 1.5, "view": 0.5},
        category_keys=word_keys(["home", "toy"]),
        category_weights=np.array([1.0, 3.0]),
        price_level=10.0,
    )


def candidates() -> Candidates:
    """The train, the lantern, the garland, and an item that nobody knows."""
    keys = np.concatenate([KEYS[[0, 3, 4]], np.array([12345], np.uint64)])
    scores = np.array([[4.0, np.nan], [np.nan, 9.0], [2.0, 3.0], [-1.0, np.nan]], np.float32)
    ranks = np.array([[1, 0], [0, 1], [2, 2], [3, 0]], np.uint16)
    return Candidates(keys, SOURCES, scores, ranks)
