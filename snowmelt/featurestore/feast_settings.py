"""Where a Feast repository finds the rest of Snowmelt: SNOWMELT_* as everywhere, paths counted from its checkout."""

import json
import os
from pathlib import Path

from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig

from snowmelt.runtime.config import Settings

_PLACES = ("lake_url", "releases_url", "views_path", "tokens_path")


def repo_settings(repo_path: Path | str | None) -> Settings:
    """The shared settings, with places in the file system made absolute from the folder that holds ``repo_path``.

    So ``cd feature_repo && feast apply``, a notebook and a process started in the checkout mean the same files. What
    the environment does not say is taken from the one-command mode that runs in the state folder (``run.json``).

    Raises:
        ConfigError: the environment holds a SNOWMELT_ variable that is unknown or does not fit.
    """
    base = Path(repo_path or ".").resolve().parent
    state = base / os.environ.get("SNOWMELT_STATE_DIR", ".snowmelt")
    settings = Settings.load({**_running(state / "run.json"), **os.environ})
    moved = {name: _absolute(base, str(getattr(settings, name))) for name in _PLACES}
    return settings.model_copy(update=moved | {"state_dir": base / settings.state_dir})


def _running(place: Path) -> dict[str, str]:
    try:
        return dict(json.loads(place.read_text())["environ"])
    except FileNotFoundError:
        return {}


def _absolute(base: Path, place: str) -> str:
    return place if "://" in place else str(base / place)


class SnowmeltRegistryStore(FileRegistryStore):
    """Feast's file registry, kept at ``path`` or, where that is empty, in the state folder as ``registry.db``."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        place = registry_config.path or str(repo_settings(repo_path).state_dir / "registry.db")
        super().__init__(registry_config.model_copy(update={"path": place}), repo_path)
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
