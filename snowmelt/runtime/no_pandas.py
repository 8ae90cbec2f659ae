"""Keeps pandas out of a process: pyarrow would import it with the first array that is made, for half a second."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("this process does without pandas", name=name)
        return None


def do_without_pandas() -> None:
    """From now on an import of pandas fails as if it were not installed; pyarrow then goes on without it."""
    sys.meta_path.insert(0, _NoPandas())
