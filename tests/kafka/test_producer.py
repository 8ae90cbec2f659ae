"""A caller that gives up harms nobody: the producer goes on delivering."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from snowmelt.contracts.topics import EVENTS
from snowmelt.embedded.brokers import EmbeddedBroker
from snowmelt.runtime.kafka.producer import Producer

NOW_MS = 1_750_000_000_000


def test_a_cancelled_wait_does_not_end_the_deliveries(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    process = broker.spawn()
    broker.wait()
    producer = Producer(broker.bootstrap)

    async def story() -> int:
        await producer.send(EVENTS, b"default/u", b"first", NOW_MS)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # it may answer until it has stopped
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(producer.send(EVENTS, b"default/u", b"given up", NOW_MS), 0.2)
        process.send_signal(signal.SIGCONT)
        third = await asyncio.wait_for(producer.send(EVENTS, b"default/u", b"third", NOW_MS), 20)
        return third.offset

    try:
        # The record that was given up is in the log: a caller may only repeat it with the same event id.
        assert asyncio.run(story()) == 2
    finally:
        process.kill()
        process.wait()
        producer.close()
