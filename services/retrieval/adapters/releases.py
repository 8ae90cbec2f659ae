"""The releases on disk, followed; each loaded one has a retriever over the live items."""

from collections.abc import Callable, Sequence
from pathlib import Path

from snowmelt.contracts.items import ItemSource
from snowmelt.releases import Manifest, ReleaseStore, ReleaseWatcher, probe_in_child
from snowmelt.retrieval import RetrievalTables, Retriever

FOLDER = SERVICE = "retrieval"


class WatchedReleases:
    """The port Releases over a watcher that keeps two."""

    def __init__(self, store: ReleaseStore, items: ItemSource, probe: Callable[[Path], None] = probe_in_child) -> None:
        self._items = items
        self._watcher: ReleaseWatcher[Retriever] = ReleaseWatcher(store, self._load, probe=probe, service=SERVICE)

    def start(self) -> None:
        """Begins to follow the active release."""
        self._watcher.start()

    def stop(self) -> None:
        """Ends following."""
        self._watcher.stop()

    def missing(self) -> list[str]:
        """Why nothing is loaded; empty where something is."""
        return self._watcher.missing()

    def retriever(self, release_id: str) -> Retriever:
        """A loaded release's retriever.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED.
        """
        return self._watcher.get(release_id).value

    def loaded(self) -> Sequence[str]:
        """The ids of what is loaded, the one in use first."""
        return tuple(one.release_id for one in self._watcher.loaded())

    def refresh(self) -> None:
        """Lets every loaded release take up new content."""
        for one in self._watcher.loaded():
            one.value.refresh()

    def warm(self, as_of_ms: int) -> None:
        """Lets every loaded release finish the counts of the next tile."""
        for one in self._watcher.loaded():
            one.value.warm(as_of_ms)

    def _load(self, folder: Path, _manifest: Manifest) -> Retriever:
        return Retriever(RetrievalTables.load(folder / FOLDER), self._items)
