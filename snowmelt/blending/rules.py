"""What may stand in a slate."""

from dataclasses import dataclass, field

import numpy as np

from snowmelt.blending.content import Content, Mask
from snowmelt.contracts.ids import Keys


@dataclass(frozen=True)
class Rules:
    """What the caller and the house ask for.

    Attributes:
        hidden_keys: uint64[h], items that must not be shown: the exclude list, and what was seen.
        categories: only items of one of these; empty: all.
    """

    hidden_keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    categories: frozenset[str] = frozenset()


def eligible(keys: Keys, content: Content, rules: Rules, as_of_ms: int) -> Mask:
    """bool[n]: known, not withdrawn, already available at the instant, not hidden, of an allowed category.

    An item that was withdrawn after it was retrieved stops here.
    """
    mask = content.known & ~content.withdrawn & (content.available_from_ms <= as_of_ms)
    if len(rules.hidden_keys):
        mask &= ~_among(keys, rules.hidden_keys)
    if rules.categories:
        mask &= np.fromiter((not rules.categories.isdisjoint(c) for c in content.categories), np.bool_, len(content))
    return mask


def _among(keys: Keys, others: Keys) -> Mask:
    """bool[n]: whether each key is one of the others, of which there is at least one; ``np.isin`` sorts both sides."""
    ordered = np.sort(others)
    found: Mask = np.take(ordered, np.searchsorted(ordered, keys), mode="clip") == keys
    return found
