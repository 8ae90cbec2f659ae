"""``snowmelt releases`` on a folder of releases."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from snowmelt.releases import Origin, ReleaseStore


def run(root: Path, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", "releases", *args],
        env={"SNOWMELT_RELEASES_URL": str(root), "SNOWMELT_STATE_DIR": str(root / "state"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_list_activate_and_roll_back(store: ReleaseStore, origin: Origin) -> None:
    def build(folder: Path) -> None:
        (folder / "a.json").write_text("{}")

    first, second = store.publish(build, origin), store.publish(build, origin)
    assert json.loads(run(store.root, "activate", first, "--json")[1])["generation"] == 1
    assert run(store.root, "activate", second, "--generation", "1")[0] == 0
    code, out, _ = run(store.root, "list", "--json")
    listed = json.loads(out)
    assert code == 0
    assert listed["generation"] == 2
    assert {(one["release_id"], one["active"]) for one in listed["releases"]} == {(first, False), (second, True)}
    assert listed["releases"][0]["metrics"] == {"ndcg_at_10": 0.11}
    assert f"* {second}" in run(store.root, "list")[1]
    assert json.loads(run(store.root, "rollback", "--json")[1]) == {
        "release_id": first,
        "previous": second,
        "generation": 3,
    }


def test_what_cannot_be_done_is_one_line_and_an_exit_code(store: ReleaseStore, origin: Origin) -> None:
    store.publish(lambda folder: (folder / "a.json").write_text("{}") and None, origin)
    release_id = store.list()[0].release_id
    refusals: list[tuple[tuple[str, ...], Callable[[str], bool]]] = [
        (("activate", "20110101T000000-00000000"), lambda said: "there is no release" in said),
        (("activate", "../../etc"), lambda said: "a release id is" in said),
        (("activate", release_id, "--generation", "9"), lambda said: "the generation is 0, not 9" in said),
        (("rollback",), lambda said: "no other release" in said),
    ]
    for args, expected in refusals:
        code, out, said = run(store.root, *args)
        assert (code, out) == (1, ""), args
        assert said.count("\n") == 1
        assert expected(said), said
    assert store.active().generation == 0
