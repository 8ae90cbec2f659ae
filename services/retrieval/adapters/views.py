"""The compiled views on disk: how packed user state is read."""

from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.features.user import finish_user
from snowmelt.features.views import CompiledViews
from snowmelt.runtime.config import ConfigError


class ViewsFile:
    """The port Users; reads the file again when it meets state of other views, as a rebuilt online store has."""

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
            ConfigError: there is none, or it is damaged.
        """
        self._path = Path(path)
        try:
            self.current = CompiledViews.load(path)
        except SnowmeltError as error:
            raise ConfigError(f"SNOWMELT_VIEWS_PATH: {error.detail}") from None

    def finish(self, packed: PackedUserState, as_of_ms: int) -> UserState:
        """A user's state at one instant.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where the views on disk did not write the state.
        """
        try:
            return finish_user(self.current, packed, as_of_ms)
        except SnowmeltError as error:
            if error.reason is not Reason.FEATURES_MISMATCH:
                raise
        self.current = CompiledViews.load(str(self._path))
        return finish_user(self.current, packed, as_of_ms)
