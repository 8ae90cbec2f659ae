"""The releases folder, followed."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from services.ranker.ports import Items
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.ranking.ranker import Ranker
from snowmelt.releases import Loaded, Manifest, ReleaseStore, ReleaseWatcher
from snowmelt.releases.opened import check_meaning, open_ranker
from snowmelt.runtime import metrics

_LOG = logging.getLogger(__name__)
SERVICE = "ranker"


class FollowedReleases:
    """The port Releases over a folder; the newest two are held.

    Those of other views than the items' are not shown: after a rebuild with other views none is, until one is trained
    on these. Where the views of before come back, so do their releases.
    """

    def __init__(self, url: str, items: Items, clock: Clock, poll_s: float) -> None:
        self._items, self._clock = items, clock
        self._watcher = ReleaseWatcher(
            ReleaseStore(url), self._open, check=self._check, interval_s=poll_s, service=SERVICE
        )

    def start(self) -> None:
        """Begins to follow."""
        self._watcher.start()

    def stop(self) -> None:
        """Ends following."""
        self._watcher.stop()

    def ranker(self, release_id: str) -> Ranker:
        """The ranker of a loaded release of the live views.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED.
        """
        one = self._watcher.get(release_id)
        try:
            self._check(one.manifest)
        except SnowmeltError as error:
            raise SnowmeltError(Reason.RELEASE_NOT_LOADED, error.detail, field="release_id") from None
        return one.value

    def ids(self) -> Sequence[str]:
        """The loaded releases of the live views, the one in use first."""
        return [one.release_id for one in self._live()]

    def retry(self) -> None:
        """Looks again at what was refused; for when the live views are others than before."""
        self._watcher.retry()

    def refresh(self) -> None:
        """Lets what is loaded take up new content now, so that no request has to."""
        for one in self._watcher.loaded():
            one.value.refresh()

    def missing(self) -> list[str]:
        """Why nothing can be pinned; empty where something can."""
        if self._live():
            return []
        return self._watcher.missing() or ["no loaded release was trained on the live feature views: `snowmelt train`"]

    def set_gauges(self) -> None:
        """Says which release is in use and how old it is, if one is."""
        live = self._live()
        if live:
            age_ms = self._clock.now_ms() - live[0].manifest.origin.created_at_ms
            metrics.say_release(SERVICE, live[0].release_id, age_ms / 1000)
        else:
            metrics.say_release(SERVICE, "", math.nan)

    def _live(self) -> Sequence[Loaded[Ranker]]:
        views = self._items.views()
        return [one for one in self._watcher.loaded() if one.manifest.is_of(views)]

    def _check(self, manifest: Manifest) -> None:
        check_meaning(manifest, self._items.views())

    def _open(self, folder: Path, manifest: Manifest) -> Ranker:
        ranker = open_ranker(folder, self._items.views(), self._items)
        _LOG.info("release %s is open, trained at lake versions %s", manifest.release_id, manifest.origin.lake_versions)
        return ranker
