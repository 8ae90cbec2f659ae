"""The versions that a table's log keeps of application ids, as one handle knows them: offsets, counters, marks."""

from collections.abc import Mapping

from deltalake import DeltaTable


class AppVersions:
    """Looks each version up once: delta-rs goes through the log for it, for a millisecond or two.

    What is known holds for the table's version that the handle is at, and for the next where that is our own commit.
    """

    def __init__(self, table: DeltaTable) -> None:
        self.table = table
        self._version = -1
        self._known: dict[str, int | None] = {}

    def of(self, app_id: str) -> int | None:
        """An id's version on the handle as it is now; None where there is none."""
        if (version := self.table.version()) != self._version:
            self._version, self._known = version, {}
        if app_id not in self._known:
            self._known[app_id] = self.table.transaction_version(app_id)
        return self._known[app_id]

    def committed(self, before: int, written: Mapping[str, int]) -> None:
        """Takes down what a commit through the handle has written; before it the table was at version ``before``.

        Where somebody else's commit came between, the handle is further on, and what was known counts for nothing.
        """
        if self._version == before == self.table.version() - 1:
            self._version += 1
            self._known.update(written)
