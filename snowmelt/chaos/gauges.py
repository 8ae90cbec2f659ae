"""What a drill reads of a running lane: its memory, and its own metrics."""

import http.client
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

EVERY_S = 0.25
LAG, PAUSED, PAUSES = "snowmelt_lag_seconds", "snowmelt_paused_partitions", "snowmelt_pauses_total"
MIB = 1_048_576


@dataclass
class Seen:
    """Of one lane in one phase: the most memory, the most lag, how many partitions were paused at most, and pauses."""

    rss_mbytes: float = 0.0
    lag_s: float = 0.0
    paused_partitions: int = 0
    pauses: int = 0
    after: dict[str, float] = field(default_factory=dict)


class Gauges:
    """Watches lanes from a thread; ``lanes`` are process and address of the ops listener, ``token`` the ops role's."""

    def __init__(self, lanes: Mapping[str, tuple[int, str]], token: str) -> None:
        self._headers = {"authorization": f"Bearer {token}"}
        self._lanes = {lane: (psutil.Process(pid), ops) for lane, (pid, ops) in lanes.items()}
        self._seen: dict[str, Seen] = {}
        self._began: dict[str, float] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self.phase()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def phase(self) -> dict[str, Seen]:
        """What was seen since the last call; begins anew. Raises what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure
        with self._lock:
            seen, self._seen = self._seen, {lane: Seen() for lane in self._lanes}
            for lane, each in seen.items():
                each.after = self._metrics(lane)
                each.pauses = int(each.after.get(PAUSES, 0) - self._began[lane])
            self._began = {lane: self._metrics(lane).get(PAUSES, 0) for lane in self._lanes}
        return seen

    def lag_s(self, lane: str) -> float:
        """The lane's own lag now."""
        return self._metrics(lane)[LAG]

    def close(self) -> None:
        """Ends the thread, and raises what went wrong in it."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            self._look()
        except BaseException as error:  # noqa: BLE001 - raised by who closes it
            self._failure = error

    def _look(self) -> None:
        while not self._stop.wait(EVERY_S):
            with self._lock:
                for lane, seen in self._seen.items():
                    seen.rss_mbytes = max(seen.rss_mbytes, self._lanes[lane][0].memory_info().rss / MIB)
                    try:
                        metrics = self._metrics(lane)
                    except (OSError, http.client.HTTPException):  # it has much to do; the next look is soon
                        continue
                    seen.lag_s = max(seen.lag_s, metrics.get(LAG, 0.0))  # there is none before it is first reckoned
                    seen.paused_partitions = max(seen.paused_partitions, int(metrics.get(PAUSED, 0)))

    def _metrics(self, lane: str) -> dict[str, float]:
        asked = urllib.request.Request(f"http://{self._lanes[lane][1]}/metrics", headers=self._headers)
        with urllib.request.urlopen(asked, timeout=2) as answer:  # noqa: S310 - an address of ours
            lines = answer.read().decode().splitlines()
        found = (line.rsplit(" ", 1) for line in lines if line.startswith(("snowmelt_lag_seconds", "snowmelt_pause")))
        return {name.partition("{")[0]: float(value) for name, value in found}
