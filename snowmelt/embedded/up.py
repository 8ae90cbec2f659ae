"""``snowmelt up``: the same steps that an operator would take one by one, in order, on this machine."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import ExitCode, Reason, SnowmeltError
from snowmelt.datasets.data_set import DataSet
from snowmelt.datasets.open import open_data_set
from snowmelt.embedded.brokers import BROKERS
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.home import Home
from snowmelt.embedded.lanes import Lanes
from snowmelt.embedded.learned import lacking
from snowmelt.embedded.processes import StartError
from snowmelt.embedded.sending import refuse_unfit, send
from snowmelt.embedded.stack import Stack, apply_features
from snowmelt.lake import Lake
from snowmelt.runtime.config import Settings
from snowmelt.training.errors import BadDataError

_VERB_ENDS_S = 2.0


class Interrupted(Exception):  # noqa: N818 - what happened, not an error
    """The operator asked to stop; both lanes drain, then everything ends."""


class Up:
    """One run of the embedded system, from the data set to the first answers."""

    def __init__(
        self, home: Home, repo: Path, reporter: Reporter, stop: threading.Event, *, broker: str, free_ports: bool
    ) -> None:
        self.home = home
        self.stack = Stack(home, reporter.say, BROKERS[broker], stop.set, free_ports=free_ports, go_on=self.go_on)
        self._repo = repo
        self._reporter = reporter
        self._stop = stop

    @property
    def settings(self) -> Settings:
        """What the services were started with."""
        return Settings.load(self.stack.environ)

    def start(self, data_path: Path | None) -> None:
        """Starts parts and services, loads what is not loaded yet, and returns when the gateway can answer.

        Raises:
            BadDataError: also where another data set is loaded; nothing was started then.
            StartError, TimeoutError, SnowmeltError, Interrupted
        """
        noted = self.home.data_set()
        path = self._chosen(noted, data_path)
        data = self._to_load(noted, path)
        offset_ms = self.home.clock_offset_ms() or 0
        if data is not None and not noted:  # a clock that was set before anything was loaded is no data's clock
            offset_ms = Clock.ending_at(data.end_ms).offset_ms
        parts, admit = partial(self.stack.start_parts, offset_ms), partial(self._admit, data, offset_ms)
        for step in (parts, self._create_lake, self._apply_features, admit, self._mend, self.stack.start_services):
            self.go_on()
            try:
                step()
            except StartError:
                self.go_on()  # a Ctrl-C reaches what a step has started, too: that it ended then is no failure
                raise
        if data is not None:
            self._load(data, path)

    def stop(self) -> bool:
        """Drains both lanes, then stops everything; whether nothing that was produced is left undone."""
        if self.stack.environ:
            self.stack.say("stopping: both lanes take what was produced, then everything ends")
        return self.stack.stop()

    def _chosen(self, noted: Mapping[str, object], asked: Path | None) -> Path | None:
        """Where the data set lies: the one that was begun, whether it is asked for or none is.

        Raises:
            BadDataError: another one is asked for.
        """
        begun = noted.get("path")
        path = Path(begun) if asked is None and isinstance(begun, str) else asked
        path = path and path.resolve()
        if noted and (path and str(path)) != begun:
            raise self._another(noted, str(path), "leave out DATA to go on with that, or `make clean` to remove it")
        return path

    def _to_load(self, noted: Mapping[str, object], path: Path | None) -> DataSet | None:
        """The data set that is not loaded whole yet; None where it is.

        Raises:
            BadDataError: it cannot be used, or is no longer the one that was begun.
        """
        if noted.get("finished"):
            self._reporter.say(f"{noted['name']}: loaded before, and not read again")
            return None
        data = self._open(path)
        if noted and data.name != noted["name"]:
            raise self._another(noted, data.name, "`make clean` removes it")
        return data

    def _another(self, noted: Mapping[str, object], wanted: str, what_to_do: str) -> BadDataError:
        held = "" if noted.get("finished") else "part of "
        return BadDataError(
            f"{self.home.folder} holds {held}{noted['name']} ({noted['source']}), not {wanted}: {what_to_do}"
        )

    def _open(self, path: Path | None) -> DataSet:
        def progress(stage: str, done: int, total: int) -> None:
            self.go_on()
            self._reporter.progress(stage, done, total)

        with self._reporter:
            data = open_data_set(path, progress)
        said = f"{data.name}: {len(data.catalogue):,} items, {len(data.users):,} users, {len(data.events):,} events"
        for line in (said, f"  source: {data.source}", f"  terms: {data.terms}", *(f"  {n}" for n in data.notes)):
            self._reporter.say(line)
        return data

    def _create_lake(self) -> None:
        Lake(self.settings.lake_url).create()

    def _apply_features(self) -> None:
        digest = hashlib.sha256()
        for path in sorted(self._repo.glob("*.*")):
            digest.update(path.read_bytes())
        mark = self.home.folder / "features.sha256"
        views = Path(self.stack.environ["SNOWMELT_VIEWS_PATH"])
        if views.exists() and mark.exists() and mark.read_text() == digest.hexdigest():
            return
        apply_features(self.stack.environ, self._repo, self.go_on)
        mark.write_text(digest.hexdigest())

    def _admit(self, data: DataSet | None, offset_ms: int) -> None:
        """Takes the data set, and the clock with it.

        Raises:
            BadDataError: features or clock do not fit it; nothing is kept of it then.
        """
        if data is not None:
            refuse_unfit(data, self.settings)
            self.home.set_clock_offset_ms(offset_ms)

    def _mend(self) -> None:
        """After a kill -9 of everything, or with other features, the online state may differ: the lake is the truth."""
        lanes = Lanes(self.settings)
        try:
            why = "" if lanes.sinks_agree() else "the online state is not what the lake says"
        except SnowmeltError as wrong:
            if wrong.reason is not Reason.FEATURES_MISMATCH:
                raise
            why = "the online state was written by other feature views"
        finally:
            lanes.close()
        if why:
            self._reporter.say(f"{why}: making it anew")
            self._verb("rebuild", "online")

    def train(self) -> list[str]:
        """Trains where no active release can rank here, as ``snowmelt train`` does.

        Returns lines that say why still none can, and what to do; none where one can. The system answers all the same.

        Raises:
            StartError: the training failed, but not for the data.
            SnowmeltError, Interrupted
        """
        before = lacking(self.settings)
        if before is None:
            return []
        self._reporter.say(f"{before.reason}: training")
        code = self._verb("train", expected=(ExitCode.OK, ExitCode.BAD_DATA))
        still = lacking(self.settings)
        if still is None:
            return []
        why = "the data is too little to learn from" if code else "the one that was trained is not good enough"
        return [
            f"  {still.reason}: {still.answers}",
            f"  {why}; what it lacks stands above, after the training",
            "  when there is more data, `snowmelt train` trains again",
        ]

    def _verb(self, *words: str, expected: Sequence[int] = (ExitCode.OK,)) -> int:
        command = [sys.executable, "-P", "-m", "snowmelt.cli.main", *words]
        # A group of its own: a training is a child of its verb, and ends with it.
        child = subprocess.Popen(command, env={**os.environ, **self.stack.environ}, process_group=0)
        self.stack.keep(words[0], child)
        while child.poll() is None:
            if self._stop.wait(0.1):
                _end(child)
        self.go_on()
        if child.returncode not in expected:
            raise StartError(f"snowmelt {' '.join(words)} ended with exit code {child.returncode}")
        return child.returncode

    def _load(self, data: DataSet, path: Path | None) -> None:
        described = {"name": data.name, "source": data.source, "terms": data.terms, "simulated": data.simulated}
        described["path"] = path and str(path)
        self.home.set_data_set({**described, "finished": False})
        with self._reporter as reporter:
            loaded = send(data, self.settings, reporter.progress, self.until)
        self.home.set_data_set({**described, "finished": True, **asdict(loaded)})
        for line in loaded.lines():
            self._reporter.say(line)

    def until(self, holds: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        """Waits until something holds.

        Raises:
            TimeoutError: it did not in time; the message is ``otherwise`` and where the logs are.
            Interrupted
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{otherwise} after {timeout_s:.0f} s; see {self.home.logs}")
            self._stop.wait(0.05)
            self.go_on()
        self.go_on()

    def go_on(self) -> None:
        """Looks whether there is any use in it.

        Raises:
            Interrupted
        """
        if self._stop.is_set():
            raise Interrupted


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a verb with its children; what does not listen is killed: it has made all of what it makes, or none."""
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.killpg(child.pid, signal.SIGINT)
        try:
            child.wait(_VERB_ENDS_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
