"""Publishing, verifying, activating by generation, rolling back, retaining."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.releases import Active, Manifest, Origin, ReleaseStore

Build = Callable[[Path], None]


def small(folder: Path) -> None:
    (folder / "ranker").mkdir()
    (folder / "ranker" / "model.txt").write_bytes(b"tree\n" * 1000)
    (folder / "note.json").write_text("{}")


def refused(reason: Reason, call: Callable[[], object]) -> str:
    with pytest.raises(SnowmeltError) as error:
        call()
    assert error.value.reason is reason, error.value
    return error.value.detail


def test_a_release_is_published_whole(store: ReleaseStore, origin: Origin) -> None:
    release_id = store.publish(small, origin)
    manifest = store.verify(release_id)
    assert manifest.origin == origin
    assert [(file.path, file.size_bytes) for file in manifest.files] == [("note.json", 2), ("ranker/model.txt", 5000)]
    assert [one.release_id for one in store.list()] == [release_id]
    assert store.active() == Active(None, None, 0)


def test_nothing_is_left_of_a_build_that_fails(store: ReleaseStore, origin: Origin) -> None:
    def fails(folder: Path) -> None:
        small(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.publish(fails, origin)
    assert [place.name for place in store.root.iterdir()] == [".lock"]


def test_a_publisher_that_dies_leaves_no_release_and_its_draft_is_swept(store: ReleaseStore, origin: Origin) -> None:
    code = (
        "import os, sys; from snowmelt.releases import *\n"
        "def build(folder): (folder / 'a.json').write_text('{}'); os.kill(os.getpid(), 9)\n"
        "ReleaseStore(sys.argv[1]).publish(build, Origin(1, 'default', {}, 0, '', '', ''))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code, str(store.root)], check=False).returncode == -9
    assert store.list() == ()
    assert len(list(store.root.glob(".publishing-*"))) == 1

    def build_beside(folder: Path) -> None:
        small(folder)
        store.retain(5)
        assert folder.is_dir()

    store.publish(build_beside, origin)
    assert list(store.root.glob(".publishing-*")) == []


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _link(path: Path) -> None:
    path.rename(path.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent / "elsewhere")


def _link_folder(path: Path) -> None:
    path.parent.rename(path.parent.parent.parent / "folder")
    path.parent.symlink_to(path.parent.parent.parent / "folder")


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        Path.unlink,
        _link,
        _link_folder,
        lambda path: (path.parent / "extra.json").write_text("{}"),
        lambda path: (path.parent / "model.pkl").write_text("{}"),
        lambda path: os.mkfifo(path.parent / "pipe"),
        lambda path: _flip(path.parent.parent / "manifest.json"),
        lambda path: _truncate(path.parent.parent / "manifest.json"),
        lambda path: (path.parent.parent / "manifest.json").write_text("[" * 100_000),
        lambda path: (path.parent.parent / "manifest.json").write_bytes(b" " * (5 << 20)),
    ],
)
def test_a_release_that_changed_is_refused(
    store: ReleaseStore, origin: Origin, damage: Callable[[Path], object]
) -> None:
    release_id = store.publish(small, origin)
    damage(store.path(release_id) / "ranker" / "model.txt")
    refused(Reason.RELEASE_INVALID, lambda: store.verify(release_id))
    refused(Reason.RELEASE_INVALID, lambda: store.activate(release_id))
    assert store.active().release_id is None


def test_a_manifest_of_another_release_is_refused(store: ReleaseStore, origin: Origin) -> None:
    first, second = store.publish(small, origin), store.publish(small, origin)
    manifest = store.path(first) / "manifest.json"
    (store.path(second) / "manifest.json").write_bytes(manifest.read_bytes())
    assert first in refused(Reason.RELEASE_INVALID, lambda: store.verify(second))


@pytest.mark.parametrize("name", ["model.pkl", "weights.joblib", "x.PICKLE", "a.pt"])
def test_a_build_that_pickles_is_refused(store: ReleaseStore, origin: Origin, name: str) -> None:
    refused(Reason.RELEASE_INVALID, lambda: store.publish(lambda folder: (folder / name).touch(), origin))
    assert store.list() == ()


@pytest.mark.parametrize("release_id", ["", "..", "../x", "a/b", "a\n", "x" * 65, ".lock"])
def test_an_id_that_is_a_path_is_refused(store: ReleaseStore, release_id: str) -> None:
    refused(Reason.INVALID_FIELD, lambda: store.activate(release_id))


def test_an_unknown_release_is_not_found(store: ReleaseStore) -> None:
    refused(Reason.RELEASE_NOT_FOUND, lambda: store.activate("20110101T000000-00000000"))


def test_activate_and_roll_back(store: ReleaseStore, origin: Origin) -> None:
    first, second = store.publish(small, origin), store.publish(small, origin)
    refused(Reason.NO_RELEASE, store.rollback)
    assert store.activate(first) == Active(first, None, 1)
    refused(Reason.NO_RELEASE, store.rollback)
    assert store.activate(second, expected_generation=1) == Active(second, first, 2)
    refused(Reason.GENERATION_MISMATCH, lambda: store.activate(first, expected_generation=1))
    assert store.rollback() == Active(first, second, 3)
    assert store.rollback(expected_generation=3) == Active(second, first, 4)
    assert store.activate(second) == Active(second, first, 5)
    _flip(store.path(first) / "ranker" / "model.txt")
    refused(Reason.RELEASE_INVALID, store.rollback)
    assert store.active() == Active(second, first, 5)


def test_of_20_parallel_activations_one_wins_a_generation(store: ReleaseStore, origin: Origin) -> None:
    releases = [store.publish(small, origin) for _ in range(4)]
    outcomes: list[tuple[int, str]] = []

    def race(release_id: str, generation: int) -> None:
        try:
            outcomes.append((generation, store.activate(release_id, expected_generation=generation).release_id or ""))
        except SnowmeltError as error:
            assert error.reason is Reason.GENERATION_MISMATCH  # noqa: PT017 a thread's own assertion
            outcomes.append((generation, ""))

    for generation in range(5):
        racers = [threading.Thread(target=race, args=(releases[n % 4], generation)) for n in range(20)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
    winners = [won for won in outcomes if won[1]]
    assert len(outcomes) == 100
    assert sorted(generation for generation, _ in winners) == [0, 1, 2, 3, 4]
    assert store.active().generation == 5
    assert store.active().release_id == winners[-1][1]


def test_processes_race_for_a_generation_too(store: ReleaseStore, origin: Origin) -> None:
    release_id = store.publish(small, origin)
    code = (
        "import sys; from snowmelt.releases import *; from snowmelt.contracts.errors import SnowmeltError\n"
        "store = ReleaseStore(sys.argv[1]); sys.stdin.read(1)\n"
        "try: store.activate(sys.argv[2], 0)\n"
        "except SnowmeltError as error: sys.exit(3)"
    )
    command = [sys.executable, "-P", "-c", code, str(store.root), release_id]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(6)]
    for racer in racers:
        assert racer.stdin
        racer.stdin.close()
    assert sorted(racer.wait() for racer in racers) == [0, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"release_id": 3, "previous": null, "generation": 1}'])
def test_a_damaged_pointer_is_said_and_activating_mends_it(store: ReleaseStore, origin: Origin, content: bytes) -> None:
    release_id = store.publish(small, origin)
    (store.root / "active.json").write_bytes(content)
    refused(Reason.RELEASE_INVALID, store.active)
    assert store.activate(release_id).release_id == release_id
    assert store.active().generation == 1


def test_retention_keeps_the_newest_the_active_and_the_previous(store: ReleaseStore, origin: Origin) -> None:
    ids = [store.publish(small, replace(origin, created_at_ms=origin.created_at_ms + n * 1000)) for n in range(6)]
    store.activate(ids[0])
    store.activate(ids[1])
    assert [one.release_id for one in store.list()] == ids[::-1]
    assert set(store.retain(2)) == {ids[2], ids[3]}
    assert {one.release_id for one in store.list()} == {ids[0], ids[1], ids[4], ids[5]}


def test_list_shows_a_release_that_cannot_be_read(store: ReleaseStore, origin: Origin) -> None:
    good, bad = store.publish(small, origin), store.publish(small, origin)
    store.activate(good)
    _flip(store.path(bad) / "manifest.json")
    listed = store.list()
    assert [(one.release_id, one.active, bool(one.fault)) for one in listed] == [
        (good, True, False),
        (bad, False, True),
    ]


def test_a_root_that_is_no_folder_is_refused() -> None:
    assert "s3" in refused(Reason.INVALID_FIELD, lambda: ReleaseStore("s3://bucket/releases"))
    assert ReleaseStore("file:///tmp/x").root == Path("/tmp/x")


def test_a_manifest_reads_what_it_wrote(origin: Origin) -> None:
    manifest = Manifest("x", origin, ())
    assert Manifest.parse(manifest.dump()) == manifest
