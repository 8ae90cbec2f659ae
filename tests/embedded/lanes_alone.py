"""The parts and the two lanes of the one-command mode, without what answers: ``python -m`` with a state folder."""

import signal
import sys
import threading
from pathlib import Path

from snowmelt.embedded import ending
from snowmelt.embedded.brokers import BROKERS
from snowmelt.embedded.home import Home
from snowmelt.embedded.stack import Stack
from snowmelt.features.defaults import default_views
from snowmelt.lake import Lake


def main(state: str, hurry: str) -> None:
    """Runs until it is told to stop, or has to; the exit code says how it ended."""
    if hurry == "hurry":
        ending.DOORS_S, ending.DRAINED_S, ending.LANES_S, ending.STOP_S = 0.2, 1.0, 2.0, 3.0
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stack = Stack(Home(Path(state)), _say, BROKERS["embedded"], stop.set, free_ports=True)
    stack.start_parts(0)
    Lake(stack.environ["SNOWMELT_LAKE_URL"]).create()
    default_views().dump(Path(stack.environ["SNOWMELT_VIEWS_PATH"]))
    stack.start_services(ending.LANES)
    _say("ready")
    stop.wait()
    sys.exit(0 if stack.stop() else 1)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
