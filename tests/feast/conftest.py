"""A copy of feature_repo, applied by Feast's own command line; a store on it that reads a test's Redis and lake."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from snowmelt.features.views import CompiledViews
from tests.feast.lanes import Lanes

REPOSITORY = Path(__file__).parents[2] / "feature_repo"
STATE = ".snowmelt"


def feast_apply(repo: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """``cd feature_repo && feast apply``, as a user types it; state lies beside the repository."""
    feast = Path(sys.executable).parent / "feast"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SNOWMELT_")}
    return subprocess.run(
        [sys.executable, str(feast), "apply"],
        cwd=repo,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


_IN_TURN = """
import os, sys
from feast.cli.cli import cli
for repo in sys.argv[1:]:
    pid = os.fork()
    if not pid:
        os.chdir(repo)
        os.dup2(os.open("../said", os.O_CREAT | os.O_WRONLY), 2)
        cli(["apply"])
    with open(os.path.join(repo, "../code"), "w") as code:
        code.write(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
"""


def feast_apply_in_turn(repos: Sequence[Path]) -> list[tuple[int, str]]:
    """Exit code and stderr of ``feast apply`` in each repository, by processes that share the import of Feast."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SNOWMELT_")}
    subprocess.run([sys.executable, "-c", _IN_TURN, *map(str, repos)], env=clean, capture_output=True, check=True)
    return [(int((r.parent / "code").read_text()), (r.parent / "said").read_text()) for r in repos]


def copy_repository(folder: Path) -> Path:
    """A copy of feature_repo in a folder of its own."""
    return Path(shutil.copytree(REPOSITORY, folder / "feature_repo", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of feature_repo after ``feast apply``; do not change it."""
    repo = copy_repository(tmp_path_factory.mktemp("feast"))
    done = feast_apply(repo)
    assert done.returncode == 0, done.stderr
    return repo


@pytest.fixture(scope="session")
def views(applied: Path) -> CompiledViews:
    """What ``feast apply`` left for the services."""
    return CompiledViews.load(applied.parent / STATE / "views.json")


@pytest.fixture
def lanes(redis_url: str, tmp_path: Path, views: CompiledViews) -> Lanes:
    """Both lanes on the test's Redis and a lake of its own."""
    return Lanes(redis_url, str(tmp_path / "lake"), views)


@pytest.fixture
def open_store(applied: Path, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Opens a FeatureStore on a repository, by its yaml, with the test's Redis and lake."""
    from feast import FeatureStore

    def make(repo: Path = applied, clock_offset_ms: int = 0) -> FeatureStore:
        monkeypatch.setenv("SNOWMELT_REDIS_URL", redis_url)
        monkeypatch.setenv("SNOWMELT_LAKE_URL", str(tmp_path / "lake"))
        monkeypatch.setenv("SNOWMELT_CLOCK_OFFSET_MS", str(clock_offset_ms))
        return FeatureStore(repo_path=str(repo))

    return make
