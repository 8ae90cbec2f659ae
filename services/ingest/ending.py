"""How a process that is told to stop ends in time, whatever it is in the middle of."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import NoReturn, TypeVar

from snowmelt.contracts.errors import ExitCode

_LOG = logging.getLogger(__name__)

END_S = 7.0
"""Within so long of being told to, a process ends by itself: after ten seconds whoever runs it may kill it."""
STOP_S = 1.0
LOOK_S = 0.05
T = TypeVar("T")


def unless_told(work: Callable[[], T], stop: threading.Event) -> T:
    """What ``work`` comes to, which is done in a thread; where it takes long after ``stop``, the process ends here.

    A question to Kafka, Redis or the lake may wait in native code, where no signal reaches Python.
    """
    thread, answer = apart(work, "preparing")
    while thread.is_alive() and not stop.is_set():
        thread.join(LOOK_S)
    thread.join(STOP_S if stop.is_set() else None)
    if thread.is_alive():
        leave("told to stop before anything was read")
    return answer.result()


def apart(work: Callable[[], T], name: str) -> tuple[threading.Thread, Future[T]]:
    """A thread that does ``work``, and what it comes to."""
    answer: Future[T] = Future()

    def done() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by who asks for the answer
            answer.set_exception(error)

    thread = threading.Thread(target=done, name=name, daemon=True)
    thread.start()
    return thread, answer


def await_all(threads: Iterable[threading.Thread], deadline: float) -> bool:
    """Waits for threads until a time of the monotonic clock; whether all have ended."""
    ended = True
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        ended &= not thread.is_alive()
    return ended


def leave(why: str) -> NoReturn:
    """Ends the process as it is: a thread that is still in native code would else end it by a fault.

    It has failed where it ends for an error, which is logged since nobody else comes to see it.
    """
    failed = sys.exception()
    _LOG.warning("%s: left as it is, as after a crash", why, exc_info=failed)
    logging.shutdown()
    os._exit(ExitCode.FAILED if failed else ExitCode.OK)
