"""LightGBM, imported when first needed, and without the pandas that it would import only to recognise data frames."""

import sys
import threading
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lightgbm

_LOCK = threading.Lock()


def lightgbm_module() -> ModuleType:
    """The module lightgbm; matrices are numpy's here, and a serving process stays smaller and starts sooner."""
    with _LOCK:
        hidden = "pandas" not in sys.modules and "lightgbm" not in sys.modules
        if hidden:
            # Python's own way to say that there is no such module.
            sys.modules["pandas"] = None  # type: ignore[assignment]
        try:
            import lightgbm  # noqa: PLC0415
        finally:
            if hidden:
                del sys.modules["pandas"]
    return lightgbm


def open_booster(model: str) -> "lightgbm.Booster":
    """A booster out of LightGBM's text form."""
    booster: lightgbm.Booster = lightgbm_module().Booster(model_str=model)
    return booster
