"""Pins: read features through Feast at one instant and one version of the lake, whatever clock and lane do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Pins:
    """What is pinned; None: the clock's now, the newest version of each table.

    Attributes:
        as_of_ms: the instant at which online values are finished.
        lake_versions: version of each lake table that historical features are computed from.
    """

    as_of_ms: int | None = None
    lake_versions: Mapping[str, int] | None = None


_NONE = Pins()
_PINS: ContextVar[Pins] = ContextVar("snowmelt_pins", default=_NONE)


def current_pins() -> Pins:
    """The pins of the innermost ``pinned`` block of this thread or task."""
    return _PINS.get()


@contextmanager
def pinned(as_of_ms: int | None = None, lake_versions: Mapping[str, int] | None = None) -> Iterator[None]:
    """Within the block every read through the Snowmelt stores is made at ``as_of_ms`` and ``lake_versions``."""
    token = _PINS.set(Pins(as_of_ms, lake_versions))
    try:
        yield
    finally:
        _PINS.reset(token)
