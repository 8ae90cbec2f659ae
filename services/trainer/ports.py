"""What a training needs from outside."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from snowmelt.releases.manifest import Manifest, Origin
from snowmelt.releases.pointer import Active
from snowmelt.training.past import Past


class History(Protocol):
    """The log that is learned from."""

    def read(self) -> tuple[Past, Mapping[str, int]]:
        """The past, and the pinned version of each table that it was read at.

        Raises:
            BadDataError: there is nothing to learn from.
        """


class Releases(Protocol):
    """Where releases are kept; ReleaseStore is one."""

    def publish(self, build: Callable[[Path], None], origin: Origin) -> str:
        """Shows what ``build`` made as a new release, whole or not at all, and returns its id."""

    def active(self) -> Active:
        """The active release and the generation."""

    def verify(self, release_id: str) -> Manifest:
        """Raises SnowmeltError (RELEASE_INVALID) where a file is not what its manifest says."""

    def path(self, release_id: str) -> Path:
        """A release's folder."""

    def activate(self, release_id: str, expected_generation: int | None = None) -> Active:
        """Makes a release the active one; raises SnowmeltError (GENERATION_MISMATCH) where another came first."""

    def retain(self, keep: int) -> tuple[str, ...]:
        """Deletes old releases."""
