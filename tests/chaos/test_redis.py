"""Redis is killed, cut, emptied and failed over, and all states are right after each; broken variants are seen."""

import pytest

from snowmelt.chaos.redis_faults import drill
from snowmelt.chaos.rig import Rig
from snowmelt.contracts.ids import BUCKETS
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.change_feed import ChangeFeed
from snowmelt.featurestore.item_replica import ItemReplica
from tests.chaos.test_kills import rig

__all__ = ["rig"]
pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


class TrustingFeed(ChangeFeed):
    """Takes Redis for the one that it was, whatever it has lost."""

    first = None

    def _look(self):  # type: ignore[no-untyped-def]
        life, sequences = super()._look()
        self.first = self.first or life
        known = [max(read[bucket] for read in self._read_up_to.values()) for bucket in range(BUCKETS)]
        return self.first, list(map(max, sequences, known))


class TrustingReplica(ItemReplica):
    def __init__(self, url: str, views: CompiledViews) -> None:
        super().__init__(url, views)
        self._feed = TrustingFeed(self._client, self._feed._views, self._tenant)


def test_every_state_is_right_after_each_fault(rig: Rig) -> None:
    report = drill(rig, {"kills": 3, "cuts": 2, "flushes": 1, "failovers": 1})
    assert report.problems == []
    assert report.faults == {"kills": 3, "cuts": 2, "flushes": 1, "failovers": 1}
    assert report.comparisons == 8
    assert report.states > 7 * 100
    assert report.acknowledged > 500
    assert min(report.taken_bytes.values()) > 0


def test_a_lane_that_trusts_its_memory_and_a_follower_that_sees_no_loss_are_seen(rig: Rig) -> None:
    modules = {"features": "tests.chaos.broken_features"}
    report = drill(rig, {"flushes": 1}, modules=modules, replica=TrustingReplica, patience_s=8)
    online, follower = report.problems
    assert online.startswith("after flushes 1: applied")
    assert follower.startswith("after flushes 1: the follower differs in ['statistics")
