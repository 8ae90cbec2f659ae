"""Records at a steady rate from a thread, until told otherwise."""

import threading
import time

from snowmelt.chaos.traffic import Traffic

TICK_S = 0.1


class Flow:
    """Sends while it is open, to be used as a context manager; what went wrong is raised at its end.

    Args:
        traffic: what to send.
        rate: records a second, whether or not those before are acknowledged; fewer once many are not.
    """

    def __init__(self, traffic: Traffic, rate: float) -> None:
        self._traffic = traffic
        self._rate = rate
        self._open = threading.Event()
        self._open.set()
        self._idle = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._send, name="flow", daemon=True)

    def __enter__(self) -> "Flow":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._open.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._traffic.settle()

    def pause(self) -> None:
        """Sends nothing more; returns once everything that was sent is acknowledged."""
        self._idle.clear()
        self._open.clear()
        while not self._idle.wait(TICK_S):
            if not self._thread.is_alive():
                return
        self._traffic.settle()

    def go_on(self) -> None:
        """Ends ``pause``."""
        self._open.set()

    def _send(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._open.is_set():
                    self._idle.set()
                    self._open.wait()
                    continue
                began = time.monotonic()
                self._traffic.post(max(1, int(self._rate * TICK_S)))
                self._stop.wait(max(0.0, TICK_S - (time.monotonic() - began)))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that closes it
            self._failure = error
