"""The house is as ARCHITECTURE.md draws it, and no room is crowded."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = (ROOT / "snowmelt" / "api", ROOT / "buf")
SOURCES = sorted(
    p
    for top in ("snowmelt", "services", "feature_repo")
    for p in (ROOT / top).rglob("*.py")
    if not any(p.is_relative_to(g) for g in GENERATED)
)
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60


def _rooms() -> set[str]:
    def packages(top: str) -> set[str]:
        return {f"{top}/{p.name}" for p in (ROOT / top).iterdir() if p.is_dir() and (p / "__init__.py").exists()}

    return packages("snowmelt") | packages("services") | {"feature_repo"}


def test_architecture_names_every_room_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"^\| `([a-z_/]+)` \|", text, flags=re.M))
    assert named == _rooms()


@pytest.mark.parametrize("service", ["gateway", "ingest"])
def test_architecture_names_every_file_of_the_two_large_rooms(service: str) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text().partition(f"### services/{service}\n")[2].partition("\n#")[0]
    named = sorted(re.findall(r"`(\w+\.py)`", text))
    assert named == sorted(p.name for p in (ROOT / "services" / service).glob("[!_]*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_and_no_function_is_crowded(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


WALL_CLOCKS = re.compile(r"time\.time\(|time\.time_ns\(|datetime\.now\(|datetime\.utcnow\(|\.today\(")


def test_only_the_clock_reads_the_wall_clock() -> None:
    readers = {str(p.relative_to(ROOT)) for p in SOURCES if WALL_CLOCKS.search(p.read_text())}
    assert readers == {"snowmelt/contracts/clock.py"}


def test_nothing_is_pickled() -> None:
    unsafe = re.compile(r"^\s*(import|from)\s+(pickle|joblib|dill|cloudpickle)\b|allow_pickle=True", flags=re.M)
    assert [p for p in SOURCES if unsafe.search(p.read_text())] == []


LIGHT = {"gateway": set(), "retrieval": set(), "ranker": set(), "ingest": {"numba"}}
"""By service what it does without, beside what they all do without."""


@pytest.mark.parametrize("service", LIGHT)
def test_a_serving_process_imports_neither_feast_nor_pandas(service: str) -> None:
    heavy = {"feast", "pandas", "jax"} | LIGHT[service]
    code = f"import sys, services.{service}.server; sys.exit(' '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{service} imports {done.stderr}"


LIBRARIES = {
    "feast": ("snowmelt/featurestore/feast_", "feature_repo/", "services/trainer/"),
    "redis": ("snowmelt/featurestore/",),
    "faiss": ("snowmelt/retrieval/",),
    "lightgbm": ("snowmelt/ranking/",),
    "confluent_kafka": ("snowmelt/runtime/kafka/",),
    "deltalake": ("snowmelt/lake/",),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_only_in_the_room_named_for_it(library: str) -> None:
    imports = re.compile(rf"^\s*(import|from) {library}\b", flags=re.M)
    users = [str(p.relative_to(ROOT)) for p in SOURCES if imports.search(p.read_text())]
    assert [u for u in users if not u.startswith(LIBRARIES[library])] == []
