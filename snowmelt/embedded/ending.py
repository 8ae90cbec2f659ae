"""How everything ends, in order and in time: the doors, the lanes once they have taken what was produced, the parts."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import psutil

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.embedded.home import Run, same_process
from snowmelt.embedded.lanes import Lanes
from snowmelt.runtime.config import Settings

LANES = ("ingest-lake", "ingest-features")
PARTS = ("broker", "redis", "collector")
DOORS_S, DRAINED_S, LANES_S, STOP_S = 4.0, 9.5, 12.0, 14.0
"""By when each step is over, from the beginning: who is quick leaves time to the next. Together under 15 seconds."""
LOST = "the embedded broker, which keeps its records in memory, has died: those that the lanes had not taken are lost"
_LOOK_S = 0.05

Stop = Callable[[Sequence[str], float], Sequence[str]]
"""Asks processes to end, kills those that have not after so many seconds, and names the killed."""


def end_in_order(
    names: Sequence[str], stop: Stop, drained: Callable[[], bool] | None, say: Callable[[str], None]
) -> bool:
    """Ends processes within ``STOP_S``; whether both lanes had taken what was produced.

    Args:
        names: of all of them.
        drained: whether they have; None where there is nothing to wait for.
    """
    begun = time.monotonic()

    def end(step: Sequence[str], by_s: float) -> None:
        for name in stop(step, _left(begun, by_s)):
            say(f"{name} did not end in time and was killed")

    end([name for name in names if name not in (*LANES, *PARTS)], DOORS_S)
    whole = drained is None or _await(drained, _left(begun, DRAINED_S))
    end([name for name in names if name in LANES], LANES_S)
    end([name for name in names if name in PARTS], STOP_S)
    return whole


def end_leftovers(run: Run, say: Callable[[str], None]) -> str:
    """Ends in order what a supervisor that was killed has left running, told by pid and start; what is lost, in words.

    ``say`` gets a line for each thing that an operator should know.
    """
    left = {name: process for name, pid in run.children.items() if (process := _ours(pid, run.begun.get(name)))}

    def stop(names: Sequence[str], timeout_s: float) -> list[str]:
        return _stop({name: left[name] for name in names}, timeout_s)

    say(f"process {run.pid}, which ran everything here, has gone; it left running: {', '.join(left) or 'nothing'}")
    took = not run.children.keys().isdisjoint(LANES)
    there = took and "broker" in left
    whole = end_in_order(list(left), stop, drained_by(run.environ) if there else None, say)
    if took and not there and _in_memory(run.environ):
        return LOST
    return "" if whole else undrained(run.environ)


def drained_by(environ: Mapping[str, str]) -> Callable[[], bool]:
    """What says whether both sinks of a system with these settings hold everything that was produced."""
    lanes: list[Lanes] = []

    def drained() -> bool:
        try:
            if not lanes:
                lanes.append(Lanes(Settings.load(environ)))
            return lanes[0].drained()
        except (SnowmeltError, OSError):  # a part that is gone cannot be asked, and must not keep the rest running
            return False

    return drained


def undrained(environ: Mapping[str, str]) -> str:
    """What it means that the lanes had not taken everything when the broker ended."""
    said = f"the lanes had not taken all that was produced after {DRAINED_S:g} s"
    if _in_memory(environ):
        return f"{said}; the rest is lost with the embedded broker"
    return f"{said}; Kafka keeps the rest, and the next start goes on with it"


def _in_memory(environ: Mapping[str, str]) -> bool:
    """Whether the broker is the embedded one: Kafka has ids of its own."""
    return bool(environ.get("SNOWMELT_KAFKA_INCARNATION"))


def _left(begun: float, by_s: float) -> float:
    return max(0.0, begun + by_s - time.monotonic())


def _await(drained: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it holds in time: asked in a thread, since a broker that hangs lets a question wait for longer."""
    held, given_up = threading.Event(), threading.Event()

    def ask() -> None:
        while not given_up.is_set():
            if drained():
                held.set()
                return
            given_up.wait(_LOOK_S)

    threading.Thread(target=ask, name="drain", daemon=True).start()
    held.wait(timeout_s)
    given_up.set()
    return held.is_set()


def _ours(pid: int, begun: float | None) -> psutil.Process | None:
    """The process, where it is the one that began then: after a restart its number may be a stranger's, or our own."""
    return psutil.Process(pid) if begun is not None and same_process(pid, begun) else None


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; nobody may be there to collect those whose parent was killed."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _stop(processes: Mapping[str, psutil.Process], timeout_s: float) -> list[str]:
    for process in processes.values():
        if _runs(process):
            with suppress(psutil.Error):
                process.terminate()
    deadline = time.monotonic() + timeout_s
    while any(map(_runs, processes.values())) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    late = [name for name, process in processes.items() if _runs(process)]
    for name in late:
        with suppress(psutil.Error):
            processes[name].kill()
    psutil.wait_procs([processes[name] for name in late], 1.0)  # who starts next looks at their ports
    return late
