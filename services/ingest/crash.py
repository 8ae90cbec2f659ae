"""Named places at which a drill kills the process; the only way to show that a crash there loses nothing."""

import os
import signal
from collections import Counter


class CrashPoints:
    """``spec`` is ``name:n``: the process kills itself when it passes ``name`` the n-th time; empty: never."""

    def __init__(self, spec: str = "") -> None:
        self._name, _, count = spec.partition(":")
        self._count = int(count or 0)
        self._passed: Counter[str] = Counter()

    def passing(self, name: str) -> None:
        """Marks a place."""
        self._passed[name] += 1
        if name == self._name and self._passed[name] == self._count:
            os.kill(os.getpid(), signal.SIGKILL)
