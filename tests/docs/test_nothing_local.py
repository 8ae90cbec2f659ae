"""Nothing of the machine where it was written, or of one registry, stands in the repository."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name, tracked

_FOLDERS = ("home", "root", "Users", "work", "workspace", "srv", "mnt", "media", "data")
LOCAL_PATH = re.compile(rf"(?<![\w./:~-])/(?:{'|'.join(_FOLDERS)})/[\w.]")
REGISTRY = re.compile(
    r"--(?:extra-)?index-url|--find[-]links|--trusted[-]host|"
    r"https?://[^\s/]*(?:pypi|pythonhosted|artifact|nexus|registry|mirror|maven|repo)",
    flags=re.I,
)
OF_THE_FORMAT = "http://maven.apache.org/POM/4.0.0"
"""A namespace of XML, which nobody asks for anything."""


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return "" if b"\0" in raw else raw.decode()


def found(text: str) -> list[str]:
    return [m[0] for pattern in (LOCAL_PATH, REGISTRY) for m in pattern.finditer(text.replace(OF_THE_FORMAT, ""))]


@pytest.mark.parametrize(
    "text",
    [
        "see " + "/home" + "/someone/x",
        '"/' + 'root/.cache"',
        "pip install --index" + "-url x",
        "https://" + "pypi" + ".example.org/simple",
        "https://" + "mirror" + ".example.org/",
    ],
)
def test_what_is_looked_for_is_found(text: str) -> None:
    assert found(text)


def test_no_path_and_no_registry_host() -> None:
    files = tracked()
    assert ROOT / "README.md" in files
    assert {name(path): hits for path in files if (hits := found(_text(path)))} == {}
