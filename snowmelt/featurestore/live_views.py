"""The compiled views that are in force; they change when a rebuilt generation of the online store is switched to."""

import threading
from pathlib import Path

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.generations import check_views, written_by
from snowmelt.runtime.config import ConfigError

_Seen = tuple[int, int, int]


class LiveViews:
    """The views of the live generation in this process, taken out of their file at each other generation.

    Any thread may ask. The file is parsed once for each of its versions, so that asking in vain costs a look at it.
    """

    def __init__(self, views: CompiledViews, path: str | None = None) -> None:
        """Begins with some views; without a path there are no others."""
        self.current = views
        self._path = path
        self._newest = views
        self._seen: _Seen | None = None
        self._generation = ""
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str) -> "LiveViews":
        """Begins with the views of a file.

        Raises:
            ConfigError: there is none, or it is damaged.
        """
        seen = _look(path)
        try:
            live = cls(CompiledViews.load(path), path)
        except SnowmeltError as error:
            raise ConfigError(f"SNOWMELT_VIEWS_PATH: {path}: {error.detail}") from None
        live._seen = seen
        return live

    def of_generation(self, generation: str) -> CompiledViews:
        """The views that wrote the live generation; they are the current ones from then on.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where neither the file's nor the current ones did; these stay.
        """
        with self._lock:
            if generation and generation != self._generation:
                newest = self._read_for(generation)
                views = newest if written_by(generation, newest.hash) else self.current
                check_views(generation, views.hash)
                self.current, self._generation = views, generation
            return self.current

    def of_state(self, views_hash: str) -> CompiledViews:
        """The current views or, where those did not write state of this hash and the file's did, the file's."""
        if not views_hash or views_hash == self.current.hash:
            return self.current
        with self._lock:
            newest = self._read()
        return newest if newest.hash == views_hash else self.current

    def _read_for(self, generation: str) -> CompiledViews:
        """The file's; the current ones where there is none to be read, and they wrote the generation."""
        try:
            return self._read()
        except SnowmeltError:
            if not written_by(generation, self.current.hash):
                raise
            return self.current

    def _read(self) -> CompiledViews:
        seen = _look(self._path)
        if self._path and seen != self._seen:
            self._newest, self._seen = CompiledViews.load(self._path), seen
        return self._newest


def _look(path: str | None) -> _Seen | None:
    """What changes with the file's content, which is replaced as a whole; None where there is no file."""
    try:
        found = Path(path).stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None
