"""Following the active release: verified, probed, loaded beside the old one, then swapped in one assignment."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.releases.child import probe_in_child
from snowmelt.releases.manifest import Manifest
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime.metrics import RELEASES_REFUSED

log = logging.getLogger(__name__)
T = TypeVar("T")
KEPT = 2
RETRY_S = 30.0


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """A release that can be pinned."""

    manifest: Manifest
    value: T

    @property
    def release_id(self) -> str:
        """The release's id."""
        return self.manifest.release_id


class ReleaseWatcher(Generic[T]):
    """Keeps the active release and the one before it loaded, in a thread of its own; readers never wait.

    A release that fails verification, ``check``, the probe or ``load`` is refused: what was loaded stays, and the
    refused one is tried again after ``RETRY_S``, with ``retry``, or with the next activation.
    """

    def __init__(
        self,
        store: ReleaseStore,
        load: Callable[[Path, Manifest], T],
        *,
        check: Callable[[Manifest], None] = lambda _manifest: None,
        probe: Callable[[Path], None] = probe_in_child,
        interval_s: float = 0.5,
        service: str,
    ) -> None:
        """``load`` opens a verified and probed release; what it raises besides SnowmeltError counts as invalid, too.

        ``check`` refuses by the manifest alone, before anything is opened. What is refused is counted for ``service``.
        """
        self._store, self._load, self._check, self._probe = store, load, check, probe
        self._interval_s = interval_s
        self._refusals = RELEASES_REFUSED.labels(service)
        self._loaded: tuple[Loaded[T], ...] = ()
        self._refused: dict[str, tuple[int, float]] = {}
        self._fault = "no release was activated yet"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="releases", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Ends following; what is loaded stays readable."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def loaded(self) -> tuple[Loaded[T], ...]:
        """What can be pinned now, the one in use first; at most two."""
        return self._loaded

    def missing(self) -> list[str]:
        """Why nothing is loaded, for readiness; empty where something is."""
        return [] if self._loaded else [self._fault]

    def get(self, release_id: str) -> Loaded[T]:
        """A loaded release by its id.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED.
        """
        if one := self._held(release_id):
            return one
        raise SnowmeltError(Reason.RELEASE_NOT_LOADED, f"{release_id[:64]} is not loaded here", field="release_id")

    def retry(self) -> None:
        """Makes the next look try again what was refused; for who knows that the reason may be gone."""
        self._refused.clear()

    def poll(self) -> None:
        """Looks once at the pointer, and loads what it names where that is new."""
        try:
            active = self._store.active()
        except (SnowmeltError, OSError) as error:
            self._say(f"the active release cannot be read: {error}")
            return
        if active.release_id is None:
            self._say("no release was activated yet")
            return
        if one := self._held(active.release_id) or self._open(active.release_id, active.generation):
            self._swap((one, *(other for other in self._loaded if other is not one)))
        if active.previous and len(self._loaded) < KEPT and not self._held(active.previous):
            one = self._open(active.previous, active.generation)
            self._swap(self._loaded + ((one,) if one else ()))

    def _held(self, release_id: str) -> Loaded[T] | None:
        return next((one for one in self._loaded if one.release_id == release_id), None)

    def _swap(self, loaded: tuple[Loaded[T], ...]) -> None:
        if [one.release_id for one in loaded] != [one.release_id for one in self._loaded]:
            self._loaded = loaded
            log.info("releases loaded: %s", ", ".join(one.release_id for one in loaded))

    def _open(self, release_id: str, generation: int) -> Loaded[T] | None:
        refused = self._refused.get(release_id)
        if refused and refused[0] == generation and time.monotonic() < refused[1]:
            return None
        try:
            manifest = self._store.verify(release_id)
            self._check(manifest)
            folder = self._store.path(release_id)
            self._probe(folder)
            self._swap(self._loaded[: KEPT - 1])
            value = self._load(folder, manifest)
        except SnowmeltError as error:
            self._refuse(release_id, generation, error)
        except Exception as error:
            log.exception("release %s could not be loaded", release_id)
            detail = f"the release could not be loaded: {type(error).__name__}"
            self._refuse(release_id, generation, SnowmeltError(Reason.RELEASE_INVALID, detail))
        else:
            self._refused.pop(release_id, None)
            return Loaded(manifest, value)
        return None

    def _refuse(self, release_id: str, generation: int, error: SnowmeltError) -> None:
        self._refused[release_id] = (generation, time.monotonic() + RETRY_S)
        self._say(f"release {release_id} was refused: {error.detail}")
        self._refusals.inc()

    def _say(self, fault: str) -> None:
        if fault != self._fault:
            log.warning("%s", fault)
        self._fault = fault

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.poll()
            except Exception:
                log.exception("following the releases failed; trying again")
            self._stop.wait(self._interval_s)
