"""One state read alone gives what it gives among many, bit for bit; and damage is seen."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from snowmelt.contracts.clock import DAY_MS, HOUR_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.defaults import default_views
from snowmelt.features.single import SingleReading
from snowmelt.features.views import CompiledView
from tests.features.events import NOON_MS, random_rows

VIEWS = [view for view in default_views().views.values() if "snowmelt.events" in view.topics]
INSTANTS = [NOON_MS - DAY_MS, NOON_MS + 20 * DAY_MS, NOON_MS + 90 * DAY_MS, NOON_MS + 90 * DAY_MS + HOUR_MS]


@cache
def states(view: CompiledView) -> list[bytes]:
    return [b"", *view.fold(random_rows(view, 400, 12)).states]


def _bits(values: object) -> object:
    return (values.dtype, values.tobytes()) if isinstance(values, np.ndarray | np.generic) else values


@pytest.mark.parametrize("as_of_ms", INSTANTS)
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_one_state_alone_reads_as_among_many(view: CompiledView, as_of_ms: int) -> None:
    together = view.finish(states(view), as_of_ms)
    for row, state in enumerate(states(view)):
        alone = view.values(SingleReading(view.plan(), state, as_of_ms))
        assert alone.keys() == together.keys()
        for name, values in alone.items():
            assert _bits(values[0]) == _bits(together[name][row]), name


def _damaged(state: bytes) -> Iterator[bytes]:
    yield from (state[:-1], state[:-8], state + bytes(1), state + bytes(8))
    longer = int.from_bytes(state[:4], "big") + 8
    yield longer.to_bytes(4, "big") + state[4:]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_damaged_state_is_refused(view: CompiledView) -> None:
    for damaged in _damaged(states(view)[-1]):
        with pytest.raises(SnowmeltError) as caught:
            view.values(SingleReading(view.plan(), damaged, NOON_MS))
        assert caught.value.reason is Reason.FEATURES_MISMATCH
