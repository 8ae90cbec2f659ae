"""What ``make lint`` says of the protos: a broken wire where there is history, stubs that drifted in any case."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATEWAY = "protos/snowmelt/api/gateway/v1/gateway.proto"
NEW = 'syntax = "proto3";\n\npackage snowmelt.api.new.v1;\n\nmessage Thing {}\n'


class Checkout:
    """A repository with the protos, their stubs and the Makefile, one commit old, on main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("protos", "buf", "snowmelt/api"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Makefile", "buf.yaml", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        self.git("init", "-q", "-b", "main")
        self.commit()

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a state of the protos")

    def make(self, target: str) -> tuple[int, str]:
        stamps = [f"{sys.prefix}/.installed", f"{sys.prefix}/.installed-dev"]
        command = ["make", target, f"VENV={sys.prefix}", *(word for stamp in stamps for word in ("-o", stamp))]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def renumber(self) -> None:
        proto = self.folder / GATEWAY
        proto.write_text(proto.read_text().replace("string user_id = 1 ", "string user_id = 99 "))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_commit_has_nothing_to_break(checkout: Checkout) -> None:
    code, said = checkout.make("breaking")
    assert (code, "the first commit" in said) == (0, True), said


def test_main_is_held_against_the_commit_before(checkout: Checkout) -> None:
    checkout.commit()
    assert checkout.make("breaking")[0] == 0
    checkout.renumber()
    checkout.commit()
    code, said = checkout.make("breaking")
    assert code
    assert 'field "1" with name "user_id"' in said


def test_a_shallow_clone_says_that_nothing_is_before_it(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit()
    shallow = copy.copy(checkout)
    shallow.folder = tmp_path / "shallow"
    checkout.git("clone", "-q", "--depth", "1", f"file://{checkout.folder}", str(shallow.folder))
    code, said = shallow.make("breaking")
    assert (code, "git fetch --unshallow" in said) == (0, True), said


def test_a_branch_of_a_clone_is_held_against_where_it_left_main(checkout: Checkout) -> None:
    checkout.git("checkout", "-q", "-b", "work")
    checkout.git("update-ref", "refs/remotes/origin/main", "main")
    checkout.git("branch", "-q", "-D", "main")
    checkout.renumber()
    checkout.commit()
    checkout.commit()
    code, said = checkout.make("breaking")
    assert code
    assert 'field "1" with name "user_id"' in said


def test_stubs_that_are_committed_have_not_drifted(checkout: Checkout) -> None:
    code, said = checkout.make("drift")
    assert code == 0, said


def test_stubs_that_nobody_committed_are_drift(checkout: Checkout) -> None:
    new = checkout.folder / "protos/snowmelt/api/new/v1/new.proto"
    new.parent.mkdir(parents=True)
    new.write_text(NEW)
    checkout.commit()
    code, said = checkout.make("drift")
    assert code
    assert "snowmelt/api/new/v1/new_pb2.py" in said


def test_stubs_of_a_proto_that_is_gone_are_drift(checkout: Checkout) -> None:
    (checkout.folder / "protos/snowmelt/api/admin/v1/admin.proto").unlink()
    checkout.commit()
    code, said = checkout.make("drift")
    assert code
    assert "admin_pb2.py" in said
