"""A collector that hangs or is gone changes no answer."""

import os
import signal

import pytest

from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ANSWERS = 200
PATIENT_MS = 5000
"""A budget that a busy machine keeps: this is about answers, not about their speed."""


@pytest.mark.parametrize("trouble", [signal.SIGSTOP, signal.SIGKILL])
def test_answers_are_whole_without_a_collector(system: System, trouble: signal.Signals) -> None:
    pid = system.pid("snowmelt.embedded.collector")
    with system.client() as client:
        os.kill(pid, trouble)
        try:
            for number in range(ANSWERS):
                answer = client.recommend(f"untraced-{number}", k=5, timeout_ms=PATIENT_MS)
                assert len(answer.items) == 5
                assert not answer.degraded
                assert answer.trace_id
        finally:
            if trouble == signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
    eventually(lambda: bool(system.pid("snowmelt.embedded.collector")), 10.0, "the collector was not started again")
