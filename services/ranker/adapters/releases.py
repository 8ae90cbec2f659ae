"""The releases folder, followed."""

import logging
from collections.abc import Sequence
from pathlib import Path

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.items import ItemSource
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.ranker import Ranker
from snowmelt.releases import Manifest, ReleaseStore, ReleaseWatcher
from snowmelt.releases.opened import open_ranker
from snowmelt.runtime import metrics

_LOG = logging.getLogger(__name__)
SERVICE = "ranker"


class FollowedReleases:
    """The port Releases over a folder; the newest two are held."""

    def __init__(self, url: str, views: CompiledViews, items: ItemSource, clock: Clock, poll_s: float) -> None:
        self._views, self._items, self._clock = views, items, clock
        self._watcher = ReleaseWatcher(ReleaseStore(url), self._open, interval_s=poll_s, service=SERVICE)

    def start(self) -> None:
        """Begins to follow."""
        self._watcher.start()

    def stop(self) -> None:
        """Ends following."""
        self._watcher.stop()

    def ranker(self, release_id: str) -> Ranker:
        """The ranker of a loaded release.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED.
        """
        return self._watcher.get(release_id).value

    def ids(self) -> Sequence[str]:
        """The loaded releases, the one in use first."""
        return [one.release_id for one in self._watcher.loaded()]

    def refresh(self) -> None:
        """Lets what is loaded take up new content now, so that no request has to."""
        for one in self._watcher.loaded():
            one.value.refresh()

    def missing(self) -> list[str]:
        """Why nothing can be pinned; empty where something can."""
        return self._watcher.missing()

    def set_gauges(self) -> None:
        """Says which release is in use and how old it is."""
        for one in self._watcher.loaded()[:1]:
            age_ms = self._clock.now_ms() - one.manifest.origin.created_at_ms
            metrics.RELEASE_AGE_SECONDS.labels(SERVICE).set(age_ms / 1000)
            metrics.RELEASE_INFO.clear()
            metrics.RELEASE_INFO.labels(SERVICE, one.release_id).set(1)

    def _open(self, folder: Path, manifest: Manifest) -> Ranker:
        ranker = open_ranker(folder, self._views, self._items)
        _LOG.info("release %s is open, trained at lake versions %s", manifest.release_id, manifest.origin.lake_versions)
        return ranker
