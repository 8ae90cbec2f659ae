"""The compiled views that are in force; they change when a rebuilt generation of the online store is switched to."""

from snowmelt.features.views import CompiledViews


class LiveViews:
    """Holds the views of a file; ``reload`` is asked by readers that meet state of other views."""

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where there is none, or it is damaged.
        """
        self._path = path
        self.current = CompiledViews.load(path)

    def reload(self) -> CompiledViews:
        """Reads the file again; raises as the constructor does."""
        self.current = CompiledViews.load(self._path)
        return self.current
