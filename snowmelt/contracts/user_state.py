"""A user's state: packed as the online store keeps it, and finished as algorithms read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys

Times = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


def _keys() -> Keys:
    return np.empty(0, np.uint64)


def _times() -> Times:
    return np.empty(0, np.int64)


def _codes() -> npt.NDArray[np.uint8]:
    return np.empty(0, np.uint8)


def _weights() -> Weights:
    return np.empty(0, np.float64)


@dataclass(frozen=True)
class PackedUserState:
    """The bytes that travel from the gateway to retrieval and ranker; empty bytes where the user is new."""

    entity: str
    profile: bytes = b""
    seen: bytes = b""
    views_hash: str = ""

    @property
    def known(self) -> bool:
        """Whether anything was ever applied for the user."""
        return bool(self.profile or self.seen)


@dataclass(frozen=True)
class UserState:
    """A user's state finished at one instant.

    Attributes:
        recent_keys: uint64[m], newest first, at most 50 distinct items.
        recent_times_ms: int64[m], aligned with recent_keys.
        recent_types: uint8[m], codes of the declared event types.
        seen_keys: uint64[s], newest first, at most 2,000.
        type_counts: decayed count by event type.
        category_keys, category_weights: uint64[c], float64[c], decayed counts by category.
        price_level: decayed mean price; NaN where unknown.
        numbers: every other feature of the view user_profile that is one number, by name; NaN where it is absent.
    """

    recent_keys: Keys = field(default_factory=_keys)
    recent_times_ms: Times = field(default_factory=_times)
    recent_types: npt.NDArray[np.uint8] = field(default_factory=_codes)
    seen_keys: Keys = field(default_factory=_keys)
    type_counts: dict[str, float] = field(default_factory=dict)
    category_keys: Keys = field(default_factory=_keys)
    category_weights: Weights = field(default_factory=_weights)
    price_level: float = float("nan")
    numbers: Mapping[str, float] = field(default_factory=dict)
