"""In which order a lane drains partitions of which one is crowded: judged by counts, whatever the machine's speed."""

from collections.abc import Mapping
from dataclasses import dataclass

Place = tuple[str, int]


@dataclass
class Order:
    """How a lane drained what half of was one key's.

    Attributes:
        others_s, hot_s: until the other partitions were done, and until that of the key was.
        hot_left: the share of the key's partition that still waited when the others were done.
        hot_left_fair: that share where each partition has an equal part of every write, whatever another has waiting;
            where records go in as they came it is about 0.
    """

    others_s: float = 0.0
    hot_s: float = 0.0
    hot_left: float = 0.0
    hot_left_fair: float = 0.0

    @property
    def fair(self) -> bool:
        """Whether the others came first; a look comes a little late, hence half."""
        return self.hot_left >= self.hot_left_fair / 2


class DrainOrder:
    """Watches positions go from ``before`` to ``ends``; the partition with most to do is the hot one."""

    def __init__(self, before: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        sizes = {place: ends[place] - start for place, start in before.items()}
        self._hot = max(sizes, key=sizes.__getitem__)
        self._size = sizes.pop(self._hot)
        self._ends = {place: ends[place] for place in before}
        self._others_done = self._hot_done = False
        self.order = Order(hot_left_fair=(self._size - max(sizes.values())) / self._size)

    def see(self, positions: Mapping[Place, int], seconds: float) -> None:
        """Notes where the lane is, so many seconds after it began."""
        left = {place: end - positions[place] for place, end in self._ends.items()}
        hot = left.pop(self._hot)
        if not self._others_done and not any(left.values()):
            self._others_done = True
            self.order.others_s, self.order.hot_left = seconds, hot / self._size
        if not hot and not self._hot_done:
            self._hot_done = True
            self.order.hot_s = seconds

    @property
    def done(self) -> bool:
        """Whether there is nothing left."""
        return self._others_done and self._hot_done
