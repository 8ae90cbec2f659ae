"""The brake of the lake lane: a topic of which a large share has gone bad is not dead-lettered as a whole."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from services.ingest.batch import Batch, Mask
from services.ingest.verdicts import Verdict
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.metrics import PAUSED

Accepted = Callable[[str, list[int]], Mapping[int, int]]
"""Topic and partitions -> by partition the offset before which bad records are accepted as dead letters."""


class Guard:
    """Counts bad records among the newest of each topic, in the order in which this process read them.

    Args:
        share: of bad records above which the lane pauses; 1 is never reached.
        window: how many of the newest records are looked at.
        least: fewer bad records than this never pause the lane.
        accepted: asked only where the lane would pause.
    """

    def __init__(self, share: float = 0.2, window: int = 10_000, least: int = 100, accepted: Accepted | None = None):
        self._share = share
        self._window = window
        self._least = least
        self._accepted = accepted
        self._newest: dict[str, tuple[dict[Place, int], Mask, Mask]] = {}

    def check(self, batch: Batch, verdicts: Mapping[int, Verdict]) -> None:
        """Lets a batch pass; asked again about the same batch it counts it once.

        Raises:
            SnowmeltError: UNAVAILABLE, and says how to go on, where too many records are bad; none of them counts.
        """
        nothing = np.zeros(0, np.bool_)
        starts, before, after = self._newest.get(batch.topic, ({}, nothing, nothing))
        past = before if starts == batch.starts else after
        bad: Mask = np.zeros(len(batch), np.bool_)
        bad[list(verdicts)] = True
        if bad.any() and self._tripped(past, bad):
            bad &= ~self._is_accepted(batch)
            if count := self._tripped(past, bad):
                PAUSED.labels("lake", batch.topic).set(1)
                raise SnowmeltError(Reason.UNAVAILABLE, self._said(batch, verdicts, bad, count))
        PAUSED.labels("lake", batch.topic).set(0)
        kept = np.concatenate((past, bad))[max(0, len(past) + len(bad) - self._window + 1) :]
        self._newest[batch.topic] = (dict(batch.starts), past, kept)

    def _tripped(self, past: Mask, bad: Mask) -> int:
        """The most bad records of a window that ends in ``bad``; 0 where they are not too many."""
        sums = np.concatenate(([0], np.cumsum(np.concatenate((past, bad)))))
        ends = np.arange(len(past) + 1, len(sums))
        most = int((sums[ends] - sums[np.maximum(ends - self._window, 0)]).max())
        size = min(self._window, len(sums) - 1)
        return most if most >= self._least and most > self._share * size else 0

    def _is_accepted(self, batch: Batch) -> Mask:
        if self._accepted is None:
            return np.zeros(len(batch), np.bool_)
        ends = self._accepted(batch.topic, sorted({partition for _, partition in batch.ends}))
        return batch.offsets < np.array([ends.get(partition, 0) for partition in batch.partitions.tolist()])

    def _said(self, batch: Batch, verdicts: Mapping[int, Verdict], bad: Mask, count: int) -> str:
        first = int(np.flatnonzero(bad)[0])
        (why, _) = Counter(verdicts[i].why for i in np.flatnonzero(bad).tolist()).most_common(1)[0]
        place = f"{batch.topic}/{batch.partitions[first]}/{batch.offsets[first]}"
        return (
            f"paused: of {batch.topic}'s newest {self._window} records {count} are bad, more than "
            f"{self._share:.0%} (most of them {why}; the first not yet taken is {place}): mend what the records need, "
            f"or keep them as dead letters by `snowmelt deadletters accept {batch.topic}`"
        )
