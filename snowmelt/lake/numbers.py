"""The numbers that a table's log keeps under application ids, as one handle knows them."""

from collections.abc import Mapping

from deltalake import DeltaTable


class Numbers:
    """Looks each number up once: delta-rs goes through the log for it, for a millisecond or two.

    What is known holds for the handle's version, and beyond it where the next version is a commit of our own.
    """

    def __init__(self, table: DeltaTable) -> None:
        self.table = table
        self._version = -1
        self._known: dict[str, int | None] = {}

    def of(self, app_id: str) -> int | None:
        """The number at the handle's version; None where there is none."""
        if (version := self.table.version()) != self._version:
            self._version, self._known = version, {}
        if app_id not in self._known:
            self._known[app_id] = self.table.transaction_version(app_id)
        return self._known[app_id]

    def committed(self, before: int, numbers: Mapping[str, int]) -> None:
        """Takes down what a commit through the handle has written, whose version was ``before`` it.

        Where somebody else's commit came between, the handle is further on, and what was known counts for nothing.
        """
        if self._version == before == self.table.version() - 1:
            self._version += 1
            self._known.update(numbers)
