"""What counts as a choice: which event types, from which value on, and when a user first touched what was chosen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.features.rows import Rows
from snowmelt.training.errors import BadDataError
from snowmelt.training.interactions import Interactions, Times

_RULE = re.compile(r"^\s*([a-z][a-z0-9_]{0,31})\s*(?:>=\s*(-?\d+(?:\.\d+)?))?\s*$")
DEFAULT_RULES = "purchase, rating>=4, like, add_to_cart, click, play"


@dataclass(frozen=True)
class Positive:
    """Events of a type are choices, from ``min_value`` on where there is one."""

    type: str
    min_value: float | None = None


def parse_rules(text: str, event_types: Sequence[str]) -> tuple[Positive, ...]:
    """Rules out of ``purchase, rating>=4``.

    Raises:
        ValueError: a rule cannot be read, or names a type that is not declared.
    """
    rules = []
    for part in text.split(","):
        found = _RULE.match(part)
        if found is None:
            raise ValueError(f"{part.strip()!r} is no rule; write a type, or a type and a value as in rating>=4")
        if found[1] not in event_types:
            raise ValueError(f"{found[1]} is not a declared event type; declared are {', '.join(event_types)}")
        rules.append(Positive(found[1], None if found[2] is None else float(found[2])))
    return tuple(rules)


def is_positive(rows: Rows, rules: Sequence[Positive], event_types: Sequence[str]) -> npt.NDArray[np.bool_]:
    """bool[n]: which rows are choices; where a rule asks for a value, a row without one is none."""
    chosen = np.zeros(len(rows), np.bool_)
    for rule in rules:
        of_type = rows.types == event_types.index(rule.type)
        chosen |= of_type if rule.min_value is None else of_type & (rows.values >= rule.min_value)
    return chosen


def choices(rows: Rows, rules: Sequence[Positive], event_types: Sequence[str]) -> Interactions:
    """Every choice, also of what was chosen or touched before."""
    taken = np.flatnonzero(is_positive(rows, rules, event_types))
    taken = taken[np.argsort(rows.times_ms[taken], kind="stable")]
    return Interactions(
        rows.user_words.codes[taken], rows.item_keys[taken], rows.times_ms[taken], rows.user_words.values
    )


def first_touches(
    rows: Rows, rules: Sequence[Positive], event_types: Sequence[str], shown_ms: Times | None = None
) -> Interactions:
    """Each (user, item) that was chosen, at the time when the user first did anything with the item.

    At that time the item was new to the user, so that it could be recommended; a later choice of an item that was
    touched before could not, since what a user has seen is left out. ``shown_ms``: of each row, as ``Past`` has it.

    Raises:
        BadDataError: nothing was chosen, or everything by one user or of one item.
    """
    chosen = is_positive(rows, rules, event_types)
    if not chosen.any():
        said = ", ".join(r.type if r.min_value is None else f"{r.type}>={r.min_value:g}" for r in rules)
        raise BadDataError(f"none of {len(rows)} events is a choice ({said}); there is nothing to learn from")
    items, places = np.unique(rows.item_keys, return_inverse=True)
    pairs = rows.user_words.codes * len(items) + places
    found, pair = np.unique(pairs, return_inverse=True)
    first = np.full(len(found), np.iinfo(np.int64).max)
    np.minimum.at(first, pair, rows.times_ms)
    slates = None if shown_ms is None else _of_first(pair, rows.times_ms == first[pair], shown_ms)
    kept = np.unique(pair[chosen])
    users, keys, times = found[kept] // len(items), items[found[kept] % len(items)], first[kept]
    for what, values in (("user", users), ("item", keys)):
        if len(np.unique(values)) < 2:
            raise BadDataError(f"all {len(kept)} choices are of one {what}; there is nothing to compare")
    order = np.lexsort((keys, users, times))
    shown = None if slates is None else slates[kept][order]
    return Interactions(users[order], keys[order], times[order], rows.user_words.values, shown)


def _of_first(pair: Times, first: npt.NDArray[np.bool_], shown_ms: Times) -> Times:
    """The oldest slate of each pair among the rows at its first touch."""
    oldest = np.full(pair.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(oldest, pair[first], shown_ms[first])
    return oldest
