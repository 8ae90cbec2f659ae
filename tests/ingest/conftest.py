"""Real parts that a command finds as it would on a user's machine: by its environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.chaos.rig import Rig
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Kafka, Redis and a lake, named by this process's environment."""
    with Rig(tmp_path, partitions=2, cache=CACHE) as made:
        monkeypatch.setenv("SNOWMELT_STATE_DIR", str(made.folder))
        monkeypatch.setenv("SNOWMELT_KAFKA_BOOTSTRAP", made.bootstrap)
        monkeypatch.setenv("SNOWMELT_REDIS_URL", made.redis_url)
        yield made
