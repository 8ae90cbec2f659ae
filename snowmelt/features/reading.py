"""Online state, finished at one instant: the reading of a plan's features."""

from collections.abc import Mapping

from snowmelt.features.kinds import decayed, last, newest
from snowmelt.features.plan import Plan
from snowmelt.features.ragged import F64, Ragged


class OnlineReading:
    """``Reading`` of n states at one instant.

    Args:
        plan: what is read of them.
        values: float64[n, width], the plan's numbers of the states, standing at the instant.
        lists: the records of the plan's listed sections.
    """

    def __init__(self, plan: Plan, values: F64, lists: Mapping[int, Ragged], as_of_ms: int) -> None:
        self._plan, self._values, self._lists, self._as_of_ms = plan, values, lists, as_of_ms

    def tiles(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        return self._values[:, self._plan.columns[section, window_ms]]

    def distinct(self, section: int, window_ms: int) -> F64:
        """See ``Reading``."""
        return self._values[:, self._plan.columns[section, window_ms]]

    def number(self, section: int) -> F64:
        """See ``Reading``."""
        return self._values[:, self._plan.columns[section, 0]]

    def decayed(self, section: int) -> F64:
        """See ``Reading``."""
        column = self._plan.columns[section, 0]
        sums, times = self._values[:, column], self._values[:, column + 1]
        return decayed.finish(self._plan.sections[section].half_life_ms, times, sums, self._as_of_ms)

    def keyed(self, section: int) -> Ragged:
        """See ``Reading``."""
        state = self._lists[section]
        keys, times, sums = state.columns
        half_life_ms = self._plan.sections[section].half_life_ms
        return Ragged(state.offsets, (keys, decayed.finish(half_life_ms, times, sums, self._as_of_ms)))

    def newest(self, section: int) -> Ragged:
        """See ``Reading``."""
        return newest.finish(self._lists[section], self._as_of_ms)

    def last(self, section: int) -> list[bytes | None]:
        """See ``Reading``."""
        return last.finish(self._lists[section], self._as_of_ms)
