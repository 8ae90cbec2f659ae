"""What is missing for whole answers, how old things are, and the gauges that say so."""

import asyncio
import math
from collections.abc import Callable

from services.gateway.pins import ReleasePins
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime import metrics

SERVICE = "gateway"
UPDATE_S = 2.0


class Readiness:
    """``replica_age_ms``: how far the item replica may be behind; None before it was read for the first time."""

    def __init__(
        self, pins: ReleasePins, replica_age_ms: Callable[[], float | None], store: ReleaseStore, clock: Clock
    ) -> None:
        self._pins, self._replica_age_ms, self._store, self._clock = pins, replica_age_ms, store, clock
        self._release: tuple[str, int | None] = ("", None)

    def own_reasons(self) -> list[str]:
        """Why this process itself cannot answer yet; the backends' troubles only degrade its answers."""
        return ["the item replica has not been read yet"] if self._replica_age_ms() is None else []

    def reasons(self) -> list[str]:
        """Why answers are not whole; empty where they are."""
        found = self.own_reasons()
        if not self._pins.retrieval_answers():
            found.append("retrieval does not answer")
        if not self._pins.ranker_answers():
            found.append("the ranker does not answer")
        pinned = self._pins.pinned()
        if not found and not pinned:
            found.append("no release is loaded")
        elif not found and not self._pins.ranker_has(pinned):
            found.append(f"the ranker has not loaded release {pinned}: its log says why")
        return found

    def ages_seconds(self) -> dict[str, float]:
        """By name: how far this replica is behind the online store, and how old the pinned release is, where known."""
        ages: dict[str, float] = {}
        replica_ms = self._replica_age_ms()
        if replica_ms is not None:
            ages["replica"] = replica_ms / 1000
        release_id, created_ms = self._release
        if created_ms is not None and release_id == self._pins.pinned():
            ages["release"] = (self._clock.now_ms() - created_ms) / 1000
        return ages

    async def run(self) -> None:
        """Sets the gauges again and again."""
        while True:
            await self.update()
            await asyncio.sleep(UPDATE_S)

    async def update(self) -> None:
        """Sets the gauges to what is served now."""
        pinned = self._pins.pinned()
        release_id, created_ms = self._release
        if pinned != release_id or created_ms is None:
            self._release = (pinned, await asyncio.to_thread(self._created_ms, pinned) if pinned else None)
        ages = self.ages_seconds()
        if "replica" in ages:
            metrics.FEATURE_AGE_SECONDS.labels(SERVICE).set(ages["replica"])
        metrics.say_release(SERVICE, pinned, ages.get("release", math.nan))

    def _created_ms(self, release_id: str) -> int | None:
        try:
            listed = {one.release_id: one.manifest for one in self._store.list()}
        except (SnowmeltError, OSError):
            return None
        manifest = listed.get(release_id)
        return manifest.origin.created_at_ms if manifest else None
