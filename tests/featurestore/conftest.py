"""Fixtures of the featurestore's tests."""

from collections.abc import Iterator

import pytest

from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from tests.featurestore.shop import VIEWS, Follow


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def follow() -> Iterator[Follow]:
    started: list[ItemReplica] = []

    def start(url: str, views: LiveViews | None = None) -> ItemReplica:
        replica = ItemReplica(url, views or LiveViews(VIEWS))
        replica.start()
        started.append(replica)
        return replica

    yield start
    for replica in started:
        replica.stop()
