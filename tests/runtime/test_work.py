"""Short work is done where it stands, long work on a thread, late work not at all."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime import deadline, telemetry
from snowmelt.runtime.work import SHORT_S, Workbench


@pytest.fixture
def bench() -> Iterator[Workbench]:
    with ThreadPoolExecutor(1) as executor:
        yield Workbench(executor)


def _busy(seconds: float) -> threading.Thread:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return threading.current_thread()


def test_short_work_stays_and_long_work_goes_to_a_thread(bench: Workbench) -> None:
    here = threading.current_thread()

    async def scene() -> None:
        assert await bench.do(lambda: _busy(0)) is here
        assert await bench.do(lambda: _busy(0), long=True) is not here
        for _ in range(30):
            last = await bench.do(lambda: _busy(2 * SHORT_S))
        assert last is not here, "work that turned out long still holds up the loop"
        for _ in range(60):
            last = await bench.do(lambda: _busy(0))
        assert last is here, "work that is short again is still handed over"

    asyncio.run(scene())


@pytest.mark.parametrize("long", [False, True])
def test_work_whose_time_is_over_is_not_begun(bench: Workbench, long: bool) -> None:
    async def scene() -> None:
        async with deadline.within(0.02):
            time.sleep(0.03)
            await bench.do(lambda: pytest.fail("begun"), long=long)

    with pytest.raises(SnowmeltError) as caught:
        asyncio.run(scene())
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED


def test_work_on_a_thread_belongs_to_its_request(bench: Workbench) -> None:
    async def scene() -> None:
        with telemetry.span("request"):
            assert await bench.do(telemetry.trace_id, long=True) == telemetry.trace_id()

    asyncio.run(scene())
