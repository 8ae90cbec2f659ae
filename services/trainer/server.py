"""Wiring: trains once, on an interval, or when a request file is laid into the state folder."""

import fcntl
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from services.trainer.adapters.lake import LakeHistory
from services.trainer.config import TrainerSettings
from services.trainer.train import Trained, Training
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.features.views import CompiledViews
from snowmelt.lake import Lake
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime import lifecycle, telemetry
from snowmelt.runtime.ops import OpsServer
from snowmelt.training.errors import BadDataError
from snowmelt.training.model import Progress

SERVICE = "trainer"
REQUEST, TAKEN, LOCK = "train.request", "train.request.taken", "train.lock"
POLL_SECONDS = 0.5
_LOG = logging.getLogger(SERVICE)


class BusyError(Exception):
    """Another training runs on the same state folder."""


def main() -> None:
    """Runs the process; with SNOWMELT_TRAINER_ONCE one training, whose exit code says how it went."""
    lifecycle.run(SERVICE, _main)


def _main(stop: threading.Event) -> None:
    settings = TrainerSettings.load()
    telemetry.setup(SERVICE, settings)
    if settings.once:
        _once(settings, stop)
    else:
        _serve(settings, stop)


def train(settings: TrainerSettings, progress: Progress) -> Trained:
    """One training with these settings.

    Raises:
        BusyError: another one runs.
        BadDataError: there is nothing that could be learned from.
    """
    with _alone(settings.state_dir), telemetry.span("trainer.train"):
        views = CompiledViews.load(settings.views_path)
        releases, clock = ReleaseStore(settings.releases_url), Clock(settings.clock_offset_ms)
        training = Training(LakeHistory(Lake(settings.lake_url), views), releases, settings.training, clock, progress)
        return training.run(settings.keep)


def report(trained: Trained) -> dict[str, object]:
    """How a training went, as JSON can say it."""
    return {
        "release_id": trained.release_id,
        "activated": trained.activated,
        "reasons": list(trained.verdict.reasons),
        "notes": list(trained.verdict.notes),
        "differences": {rival: found.as_dict() for rival, found in trained.verdict.differences.items()},
        "metrics": {name: round(value, 6) for name, value in trained.metrics.items()},
        "lake_versions": trained.lake_versions,
    }


def _once(settings: TrainerSettings, stop: threading.Event) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        _say({"stage": stage, "done": done, "total": total})

    code = ExitCode.OK
    try:
        with _ending_at_once(stop):
            trained = train(settings, progress)
        _say({"trained": report(trained)})
    except BadDataError as error:
        _say({"error": str(error)})
        code = ExitCode.BAD_DATA
    except BusyError as error:
        _say({"error": str(error)})
        code = ExitCode.TEMPORARY
    if code:
        sys.exit(code)


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _serve(settings: TrainerSettings, stop: threading.Event) -> None:
    ops = OpsServer(settings.ops_address, list, settings)
    ops.start()
    request, taken = settings.state_dir / REQUEST, settings.state_dir / TAKEN
    began, waits = time.monotonic(), False
    try:
        while not stop.wait(POLL_SECONDS):
            due = settings.interval_seconds and time.monotonic() - began >= settings.interval_seconds
            if not due and not request.exists() and not taken.exists():
                continue
            began = time.monotonic()
            with suppress(FileNotFoundError):
                request.replace(taken)  # before the lake is read: what is laid from here on asks for another training
            try:
                _try(settings, stop)
            except BusyError as error:
                if not waits:
                    _LOG.warning("no release was made: %s", error)
                waits = taken.exists()
                continue
            waits = False
            taken.unlink(missing_ok=True)  # at the end: who is stopped in the middle trains at the next start
    finally:
        ops.stop()


def _try(settings: TrainerSettings, stop: threading.Event) -> None:
    try:
        with _ending_at_once(stop):
            trained = train(settings, lambda *_: None)
    except (BadDataError, SnowmeltError) as error:
        _LOG.warning("no release was made: %s", error)
        return
    outcome = "activated" if trained.activated else f"not activated: {'; '.join(trained.verdict.reasons)}"
    _LOG.info("release %s was published and %s", trained.release_id, "; ".join((outcome, *trained.verdict.notes)))


@contextmanager
def _ending_at_once(stop: threading.Event) -> Iterator[None]:
    """A signal ends the process in this block, also in native code, which a flag would have to wait for.

    A release is shown whole or not at all; a draft that is left is removed by the next training.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        if stop.is_set():
            sys.exit(ExitCode.INTERRUPTED)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    state.mkdir(parents=True, exist_ok=True)
    with (state / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError("another training runs already; wait for it") from None
        yield
