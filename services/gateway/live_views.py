"""The compiled views that are in force; they change when a rebuilt generation of the online store is switched to."""

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.features.views import CompiledViews
from snowmelt.runtime.config import ConfigError


class LiveViews:
    """Holds the views of a file; ``reload`` is asked by readers that meet state of other views."""

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
            ConfigError: there is none, or it is damaged.
        """
        self._path = path
        try:
            self.current = CompiledViews.load(path)
        except SnowmeltError as error:
            raise ConfigError(f"SNOWMELT_VIEWS_PATH: {path}: {error.detail}") from None

    def reload(self) -> CompiledViews:
        """Reads the file again.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where there is none, or it is damaged.
        """
        self.current = CompiledViews.load(self._path)
        return self.current
