"""The gauges of what is served, and those of stages that fail."""

import asyncio
import math
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.gateway.pins import ReleasePins
from services.gateway.readiness import Readiness
from services.gateway.request import Request
from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest
from snowmelt.contracts.clock import Clock
from snowmelt.releases import Origin, ReleaseStore
from snowmelt.runtime import telemetry
from snowmelt.runtime.config import Settings

NOW_MS = 1_700_000_000_000


def _one_file(folder: Path) -> None:
    (folder / "a").write_text("b")


class Served:
    """Pins and folder of one gateway."""

    def __init__(self, folder: Path) -> None:
        self.loaded: list[str] = []
        self.store = ReleaseStore(str(folder))
        self.pins = ReleasePins(self._loaded, self._loaded)
        self.readiness = Readiness(self.pins, lambda: 1.0, self.store, Clock(wall_ms=lambda: NOW_MS))

    async def _loaded(self) -> list[str]:
        return self.loaded

    def publish(self) -> str:
        """A release that is ten seconds old, and is loaded now."""
        origin = Origin(NOW_MS - 10_000, "default", {}, 0, "", "", "0")
        release_id = self.store.publish(_one_file, origin)
        self.loaded = [release_id]
        return release_id

    def gauges(self, release_id: str) -> tuple[float | None, float]:
        """What the gauges say after the pins were looked at: the release's info, and the age."""

        async def look() -> None:
            await self.pins.poll()
            await self.readiness.update()

        asyncio.run(look())
        of = {"service": "gateway"}
        age = REGISTRY.get_sample_value("snowmelt_release_age_seconds", of)
        info = REGISTRY.get_sample_value("snowmelt_release_info", {**of, "release_id": release_id})
        return info, math.nan if age is None else age


def test_the_gauges_show_the_release_that_is_served_and_none_where_none_is(tmp_path: Path) -> None:
    served = Served(tmp_path)
    release_id = served.publish()
    assert served.gauges(release_id) == (1, 10)
    assert served.readiness.ages_seconds() == {"replica": 0.001, "release": 10}
    served.loaded = []
    info, age = served.gauges(release_id)
    assert info is None
    assert math.isnan(age)
    assert "release" not in served.readiness.ages_seconds()
    served.loaded = [release_id]
    assert served.gauges(release_id) == (1, 10)


def test_where_the_manifest_cannot_be_read_there_is_no_age_until_it_can(tmp_path: Path) -> None:
    served = Served(tmp_path)
    release_id = served.publish()
    folder = served.store.path(release_id)
    away = folder.rename(tmp_path / ".away")
    info, age = served.gauges(release_id)
    assert info == 1
    assert math.isnan(age)
    assert "release" not in served.readiness.ages_seconds()
    away.rename(folder)
    assert served.gauges(release_id) == (1, 10)


def test_a_stage_that_fails_is_counted(tmp_path: Path) -> None:
    def errors() -> float:
        return REGISTRY.get_sample_value("snowmelt_stage_errors_total", {"stage": "gateway.blend"}) or 0

    telemetry.setup("test", Settings(state_dir=tmp_path))
    request = Request(RecommendRequest(user_id="u"), "default", NOW_MS, 200)
    before = errors()
    with request.stage("blend"):
        pass
    assert errors() == before
    with pytest.raises(ValueError, match="no"), request.stage("blend"):
        raise ValueError("no")
    assert errors() == before + 1
