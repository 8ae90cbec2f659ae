"""What an operator does: look, activate a release, roll back."""

import asyncio
import logging

from services.gateway.pins import ReleasePins
from services.gateway.readiness import Readiness
from snowmelt.api.admin.v1 import admin_pb2 as admin
from snowmelt.contracts.clock import Clock
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime import telemetry
from snowmelt.runtime.auth import Caller

_LOG = logging.getLogger(__name__)


class Administrator:
    """The use cases of the admin service; each change is logged with its outcome."""

    def __init__(self, store: ReleaseStore, pins: ReleasePins, readiness: Readiness, clock: Clock) -> None:
        self._store, self._pins, self._readiness, self._clock = store, pins, readiness, clock

    async def status(self, _request: admin.GetStatusRequest, _caller: Caller) -> admin.GetStatusResponse:
        """Ready for whole answers or not and why; the pinned release; ages."""
        reasons = self._readiness.reasons()
        return admin.GetStatusResponse(
            ready=not reasons,
            reasons=reasons,
            release_id=self._pins.pinned(),
            now_ms=self._clock.now_ms(),
            ages_seconds=self._readiness.ages_seconds(),
        )

    async def releases(self, _request: admin.ListReleasesRequest, _caller: Caller) -> admin.ListReleasesResponse:
        """Every release whose manifest can be read, newest first, and the generation of the pointer."""
        listed = await asyncio.to_thread(self._store.list)
        active = await asyncio.to_thread(self._store.active)
        releases = [
            admin.Release(
                release_id=one.release_id,
                created_at_ms=one.manifest.origin.created_at_ms,
                active=one.active,
                metrics=one.manifest.origin.metrics,
            )
            for one in listed
            if one.manifest is not None
        ]
        return admin.ListReleasesResponse(releases=releases, generation=active.generation)

    async def activate(self, request: admin.ActivateReleaseRequest, caller: Caller) -> admin.ActivateReleaseResponse:
        """Makes a published release the active one; the services load it within a second or two.

        Raises:
            SnowmeltError: RELEASE_NOT_FOUND, RELEASE_INVALID, GENERATION_MISMATCH.
        """
        expected = request.expected_generation if request.HasField("expected_generation") else None
        with telemetry.span("gateway.activate_release", release_id=request.release_id):
            active = await asyncio.to_thread(self._store.activate, request.release_id, expected)
        _LOG.warning("%s activated %s, generation %d", caller.role, active.release_id, active.generation)
        return admin.ActivateReleaseResponse(release_id=active.release_id or "", generation=active.generation)

    async def rollback(self, _request: admin.RollbackReleaseRequest, caller: Caller) -> admin.RollbackReleaseResponse:
        """Goes back to the release that was active before.

        Raises:
            SnowmeltError: NO_RELEASE where none was; RELEASE_INVALID.
        """
        with telemetry.span("gateway.rollback_release"):
            active = await asyncio.to_thread(self._store.rollback)
        _LOG.warning("%s rolled back to %s, generation %d", caller.role, active.release_id, active.generation)
        return admin.RollbackReleaseResponse(release_id=active.release_id or "", generation=active.generation)
