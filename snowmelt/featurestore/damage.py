"""States that cannot be read, told apart from those that can: one damaged item must not hold up all others."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError

from snowmelt.contracts.errors import SnowmeltError

T = TypeVar("T")
States = Sequence[tuple[str, bytes]]
"""Each an entity and its packed state."""


def read_sound(states: States, read: Callable[[States], T]) -> tuple[T | None, list[str]]:
    """What ``read`` gives of the states that it can read (None: of none), and the entities of the others.

    ``read`` is called once where all are sound; it must change nothing where it raises.
    """
    try:
        return read(states), []
    except (SnowmeltError, DecodeError):
        damaged = _damaged(states, read)
    kept = [one for place, one in enumerate(states) if place not in damaged]
    return read(kept) if kept else None, [states[place][0] for place in sorted(damaged)]


def _damaged(states: States, read: Callable[[States], object]) -> set[int]:
    """The places of the states that cannot be read, found by halving."""
    found, todo = set[int](), [range(len(states))]
    while todo:
        part = todo.pop()
        try:
            read(states[part.start : part.stop])
        except (SnowmeltError, DecodeError):
            if len(part) == 1:
                found.add(part.start)
            else:
                todo += [part[: len(part) // 2], part[len(part) // 2 :]]
    return found
