"""``snowmelt up``: the same steps that an operator would take one by one, in order, on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow.compute as pc

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.datasets.data_set import DataSet
from snowmelt.datasets.open import open_data_set
from snowmelt.embedded.brokers import BROKERS
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.home import Home
from snowmelt.embedded.lanes import Lanes
from snowmelt.embedded.processes import StartError
from snowmelt.embedded.sending import refuse_unfit, send
from snowmelt.embedded.stack import Stack, apply_features
from snowmelt.lake import Lake
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime.config import Settings


class Interrupted(Exception):  # noqa: N818 - what happened, not an error
    """The operator asked to stop; both lanes drain, then everything ends."""


class Up:
    """One run of the embedded system, from the data set to the first answers."""

    def __init__(
        self, home: Home, repo: Path, reporter: Reporter, stop: threading.Event, *, broker: str, free_ports: bool
    ) -> None:
        self.home = home
        self.stack = Stack(home, reporter.say, BROKERS[broker], free_ports=free_ports)
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
            BadDataError, StartError, SnowmeltError, Interrupted
        """
        data = None if self.home.data_set().get("finished") else self._open(data_path)
        offset = self.home.clock_offset_ms()
        if offset is None and data is not None:
            offset = Clock.ending_at(data.end_ms).offset_ms
        self.stack.start_parts(offset or 0)
        Lake(self.settings.lake_url).create()
        self._apply_features()
        if data is not None:
            refuse_unfit(data, self.settings)
            self.home.set_clock_offset_ms(offset or 0)
        self._mend()
        self.stack.start_services()
        if data is not None:
            self._load(data)

    def stop(self) -> None:
        """Drains both lanes, then stops everything."""
        lanes: list[Lanes] = []

        def drained() -> bool:
            try:
                if not lanes:
                    lanes.append(Lanes(self.settings))
                return lanes[0].drained()
            except (SnowmeltError, OSError):  # a part that is gone cannot be asked, and must not keep the rest running
                return False

        self.stack.stop(drained)

    def _open(self, path: Path | None) -> DataSet:
        with self._reporter as reporter:
            data = open_data_set(path, reporter.progress)
        said = f"{data.name}: {len(data.catalogue):,} items, {len(data.users):,} users, {len(data.events):,} events"
        for line in (said, f"  source: {data.source}", f"  terms: {data.terms}", *(f"  {n}" for n in data.notes)):
            self._reporter.say(line)
        return data

    def _apply_features(self) -> None:
        digest = hashlib.sha256()
        for path in sorted(self._repo.glob("*.*")):
            digest.update(path.read_bytes())
        mark = self.home.folder / "features.sha256"
        views = Path(self.stack.environ["SNOWMELT_VIEWS_PATH"])
        if views.exists() and mark.exists() and mark.read_text() == digest.hexdigest():
            return
        apply_features(self.stack.environ, self._repo)
        mark.write_text(digest.hexdigest())

    def _mend(self) -> None:
        """After a kill -9 of everything, lake and online state may differ: the lake is the truth."""
        lanes = Lanes(self.settings)
        try:
            agree = lanes.sinks_agree()
        finally:
            lanes.close()
        if not agree:
            self._reporter.say("the online state is not what the lake says: making it anew")
            self._verb("rebuild", "online")

    def train(self) -> None:
        """Trains a first release where none is active, as ``snowmelt train`` does."""
        if not (Path(self.stack.environ["SNOWMELT_RELEASES_URL"]) / "active.json").exists():
            self._verb("train")

    def some_users(self, count: int) -> list[str]:
        """So many users of the lake's events, in a fixed order, again from the first where there are fewer."""
        found = pc.unique(Lake(self.settings.lake_url).read("events", columns=["user_id"])["user_id"]).to_pylist()
        users = sorted(user for user in found if user)
        return [users[(7 * i) % len(users)] for i in range(count)]

    def quality(self) -> list[str]:
        """How good the active release was where it was judged: NDCG@10 with its interval, beside popularity."""
        releases = ReleaseStore(self.settings.releases_url)
        active = releases.active().release_id
        if active is None:
            return ["  no release is active: the answers are popular items"]
        metrics = releases.verify(active).origin.metrics
        lines = [f"  release      {active}"]
        for name in ("release", "popularity_7d", "popularity_28d"):
            mean, low, high = (metrics[f"ndcg_at_10.{name}{end}"] for end in ("", ".low", ".high"))
            lines.append(f"  NDCG@10      {name:<15} {mean:.4f}  [{low:.4f}, {high:.4f}]")
        return lines

    def _verb(self, *words: str) -> None:
        command = [sys.executable, "-P", "-m", "snowmelt.cli.main", *words]
        child = subprocess.Popen(command, env={**os.environ, **self.stack.environ})
        while child.poll() is None:
            if self._stop.wait(0.1):
                child.terminate()
                child.wait()
                raise Interrupted
        if child.returncode:
            raise StartError(f"snowmelt {' '.join(words)} ended with exit code {child.returncode}")

    def _load(self, data: DataSet) -> None:
        described = {"name": data.name, "source": data.source, "terms": data.terms, "simulated": data.simulated}
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
            if self._stop.wait(0.05):
                raise Interrupted
        if self._stop.is_set():
            raise Interrupted
