"""decayed_counts: how often each key of the column came, halved every half-life (time_window).

The value is the weights; the keys (a category's or an item's key, a type's code), ascending and aligned with them, are
the companion ``decayed_counts.keys`` on the same section.
"""

from snowmelt.features.aggregations.base import Ask, Feature, Reading
from snowmelt.features.columns import KEYS
from snowmelt.features.ragged import Array
from snowmelt.features.sections import Section

PARTS = ("", "keys")
ARGUMENT = False
WINDOW = "required"


def columns(_: tuple[str, ...]) -> tuple[str, ...]:
    """Keys."""
    return KEYS


def sections(ask: Ask) -> tuple[Section, ...]:
    """One of decayed, with keys."""
    return (Section("decayed", ask.column, "key", half_life_ms=ask.window_ms),)


def dtype(ask: Ask) -> str:
    """Weights, or keys."""
    return "uint64[]" if ask.part else "float64[]"


def finish(feature: Feature, reading: Reading) -> list[Array]:
    """n arrays, empty where there was nothing."""
    return reading.keyed(feature.sections[0]).split(0 if feature.part else 1)
