"""Following the active release: what is damaged is refused, what is loaded stays, a swap is whole."""

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.releases import Manifest, Origin, ReleaseStore, ReleaseWatcher, pointer, probe_in_child
from snowmelt.retrieval.index import build_main, write_main

Build = Callable[[Path], None]


def load(folder: Path, manifest: Manifest) -> tuple[str, RankerArtefact]:
    return manifest.release_id, RankerArtefact.load(folder / "ranker")


def no_probe(_: Path) -> None:
    """For tests that are not about the probe."""


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "not within the time"
        time.sleep(0.01)


@pytest.fixture
def watcher(store: ReleaseStore) -> Iterator[ReleaseWatcher[tuple[str, RankerArtefact]]]:
    watcher = ReleaseWatcher(store, load, probe=no_probe, interval_s=0.02, service="test")
    yield watcher
    watcher._stop.set()


def ids(watcher: ReleaseWatcher[tuple[str, RankerArtefact]]) -> list[str]:
    return [one.release_id for one in watcher.loaded()]


def test_it_follows_activation_and_rollback_and_keeps_two(
    store: ReleaseStore, origin: Origin, build: Build, watcher: ReleaseWatcher[tuple[str, RankerArtefact]]
) -> None:
    watcher.poll()
    assert watcher.loaded() == ()
    assert watcher.missing() == ["no release was activated yet"]
    first, second, third = (store.publish(build, origin) for _ in range(3))
    for activated, loaded in ((first, [first]), (second, [second, first]), (third, [third, second])):
        store.activate(activated)
        watcher.poll()
        assert ids(watcher) == loaded
        assert watcher.missing() == []
    value = watcher.get(second).value
    store.rollback()
    watcher.poll()
    assert ids(watcher) == [second, third]
    assert watcher.get(second).value is value, "a rollback opens nothing anew"
    with pytest.raises(SnowmeltError) as error:
        watcher.get(first)
    assert error.value.reason is Reason.RELEASE_NOT_LOADED


def test_after_a_restart_both_are_loaded_the_active_one_first(
    store: ReleaseStore, origin: Origin, build: Build, watcher: ReleaseWatcher[tuple[str, RankerArtefact]]
) -> None:
    first, second = store.publish(build, origin), store.publish(build, origin)
    store.activate(first)
    store.activate(second)
    watcher.start()
    until(lambda: len(watcher.loaded()) == 2)
    assert ids(watcher) == [second, first]
    watcher.stop()


def test_where_the_active_release_is_damaged_a_restart_serves_the_one_before(
    store: ReleaseStore, origin: Origin, build: Build, watcher: ReleaseWatcher[tuple[str, RankerArtefact]]
) -> None:
    first, second = store.publish(build, origin), store.publish(build, origin)
    store.activate(first)
    store.activate(second)
    os.truncate(store.path(second) / "ranker" / "model.txt", 10)
    watcher.poll()
    assert ids(watcher) == [first]


def _damaged(path: Path, kind: str, rng: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    place = rng.randrange(len(raw))
    if kind == "truncate":
        raw = raw[:place]
    elif kind == "bit":
        raw[place] ^= 1 << rng.randrange(8)
    else:
        page = place // 4096 * 4096
        zeros = bytes(len(raw[page : page + 4096]))
        raw[page : page + 4096] = zeros if raw[page : page + 4096] != zeros else b"\x01" * len(zeros)
    path.write_bytes(raw)


def refusals() -> float:
    return REGISTRY.get_sample_value("snowmelt_releases_refused_total", {"service": "test"}) or 0.0


def test_of_100_damaged_releases_none_is_accepted(
    store: ReleaseStore, origin: Origin, build: Build, watcher: ReleaseWatcher[tuple[str, RankerArtefact]]
) -> None:
    good, victim = store.publish(build, origin), store.publish(build, origin)
    whole = store.root.parent / "whole"
    shutil.copytree(store.path(victim), whole)
    store.activate(good)
    watcher.poll()
    before = refusals()
    rng = random.Random(14)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file() and path.stat().st_size)
    for trial in range(100):
        shutil.rmtree(store.path(victim))
        shutil.copytree(whole, store.path(victim))
        _damaged(store.path(victim) / files[trial % len(files)], ("truncate", "bit", "page")[trial % 3], rng)
        with pointer.locked(store.root):
            pointer.move(store.root, victim)
        watcher.poll()
        assert ids(watcher) == [good], f"trial {trial} was accepted"
    assert refusals() == before + 100
    shutil.rmtree(store.path(victim))
    shutil.copytree(whole, store.path(victim))
    store.activate(victim)
    watcher.poll()
    assert ids(watcher) == [victim, good], "the watcher goes on"


def test_a_refused_release_is_not_tried_at_every_poll(store: ReleaseStore, origin: Origin, build: Build) -> None:
    tried: list[Path] = []

    def refuse(folder: Path) -> None:
        tried.append(folder)
        raise SnowmeltError(Reason.RELEASE_INVALID, "no")

    watcher = ReleaseWatcher(store, load, probe=refuse, service="test")
    store.activate(store.publish(build, origin))
    for _ in range(5):
        watcher.poll()
    assert len(tried) == 1
    assert "no" in watcher.missing()[0]
    store.activate(store.active().release_id or "")
    watcher.poll()
    assert len(tried) == 2, "activated anew, tried anew"


def test_a_loader_that_fails_is_a_refusal(
    store: ReleaseStore, origin: Origin, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(folder: Path, manifest: Manifest) -> None:
        raise MemoryError

    watcher = ReleaseWatcher(store, broken, probe=no_probe, service="test")
    store.activate(store.publish(build, origin))
    watcher.poll()
    assert watcher.loaded() == ()
    assert "MemoryError" in watcher.missing()[0]


def test_readers_see_whole_releases_while_they_are_swapped(
    store: ReleaseStore, origin: Origin, build: Build, watcher: ReleaseWatcher[tuple[str, RankerArtefact]]
) -> None:
    releases = [store.publish(build, origin) for _ in range(3)]
    store.activate(releases[0])
    watcher.start()
    until(lambda: bool(watcher.loaded()))
    mixed: list[object] = []
    reads = [0]
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            loaded = watcher.loaded()
            reads[0] += 1
            if not 1 <= len(loaded) <= 2 or any(one.value[0] != one.release_id for one in loaded):
                mixed.append(loaded)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, 13):
        wanted = releases[turn % 3]
        store.activate(wanted)
        until(lambda wanted=wanted: ids(watcher)[0] == wanted)
    done.set()
    reader.join()
    watcher.stop()
    assert reads[0] > 100
    assert not mixed


def test_the_probe_opens_a_good_release(store: ReleaseStore, origin: Origin, build: Build) -> None:
    probe_in_child(store.path(store.publish(build, origin)))


def _circle(text: str) -> str:
    """A tree whose first left child is its root."""
    lines = text.split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith("left_child="))
    lines[place] = "left_child=0 " + lines[place].split(" ", 1)[1]
    return "\n".join(lines)


def _other_leaf(text: str) -> str:
    lines = text.split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith("leaf_value="))
    lines[place] = "leaf_value=9 " + lines[place].split(" ", 1)[1]
    return "\n".join(lines)


def _edited(name: str, edit: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(edit((folder / name).read_text())) and None


def _cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def _wrong_index(folder: Path) -> None:
    write_main(build_main(np.ones((50, 4), np.float32)), folder / "retrieval" / "item_vectors.faiss")


def _moved_vectors(folder: Path) -> None:
    path = folder / "retrieval" / "item_vectors.npy"
    raw = path.read_bytes()
    path.write_bytes(raw[:128] + raw[132:] + raw[128:132])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_edited("ranker/model.txt", _circle), "damaged"),
        (_edited("ranker/model.txt", _other_leaf), "do not score"),
        (_edited("ranker/features.json", lambda text: text.replace('"a"', '"z"')), "do not fit"),
        (_cut("ranker/model.txt", 900), ""),
        (_cut("retrieval/item_vectors.faiss", 400), "damaged"),
        (_wrong_index, "do not fit"),
        (_moved_vectors, "does not belong"),
    ],
)
def test_the_probe_refuses_what_was_sealed_but_is_wrong(
    store: ReleaseStore, origin: Origin, build: Build, damage: Callable[[Path], None], said: str
) -> None:
    def wrong(folder: Path) -> None:
        build(folder)
        damage(folder)

    release_id = store.publish(wrong, origin)
    store.verify(release_id)
    with pytest.raises(SnowmeltError) as error:
        probe_in_child(store.path(release_id))
    assert error.value.reason is Reason.RELEASE_INVALID
    assert said in error.value.detail
    assert str(store.root) not in error.value.detail


def test_a_release_that_kills_its_reader_kills_the_probe_alone(
    store: ReleaseStore, origin: Origin, build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.kill(os.getpid(), 11)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    release_id = store.publish(build, origin)
    store.activate(release_id)
    watcher = ReleaseWatcher(store, load, service="test")
    watcher.poll()
    assert watcher.loaded() == ()
    assert "signal 11" in watcher.missing()[0]


def test_a_release_that_hangs_its_reader_is_refused(
    store: ReleaseStore, origin: Origin, build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("snowmelt.releases.child.TIMEOUT_S", 0.5)
    with pytest.raises(SnowmeltError, match="not opened within"):
        probe_in_child(store.path(store.publish(build, origin)))
