"""What a start decides: which data and clock, whether the online state and the release fit, whom it answers first."""

import io
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from services.ingest.batch import batch_of
from services.ingest.decode import decode
from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, Clock
from snowmelt.contracts.errors import ExitCode
from snowmelt.contracts.ids import record_key, session_entity
from snowmelt.contracts.topics import EVENTS
from snowmelt.datasets.simulated import simulate
from snowmelt.embedded import up as module
from snowmelt.embedded.console import Reporter
from snowmelt.embedded.home import Home
from snowmelt.embedded.learned import POPULAR, UNRANKED, lacking
from snowmelt.embedded.processes import StartError
from snowmelt.embedded.up import Interrupted, Up
from snowmelt.embedded.visitors import Visitor, visitors
from snowmelt.features.defaults import default_views
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.rebuild import rebuild_online
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake, Range
from snowmelt.releases.layout import ranking_schema
from snowmelt.releases.manifest import Origin
from snowmelt.releases.store import ReleaseStore
from snowmelt.runtime.kafka.consumer import Records
from snowmelt.training.errors import BadDataError
from tests.fixtures.views import EVENT_TYPES

REPO = Path(__file__).parents[2] / "feature_repo"
NOW_MS = 1_700_000_000_000
OURS, MEANING = ranking_schema(default_views()).features.hash, default_views().values_hash


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def up(tmp_path: Path, said: io.StringIO) -> Iterator[Up]:
    repo = Path(shutil.copytree(REPO, tmp_path / "feature_repo", ignore=shutil.ignore_patterns("__pycache__")))
    reporter = Reporter(Console(file=said, soft_wrap=True))
    home = Home(tmp_path / "state")
    made = Up(home, repo, reporter, threading.Event(), broker="embedded", free_ports=True)
    made.stack.environ = {"SNOWMELT_STATE_DIR": str(home.folder), "SNOWMELT_KAFKA_INCARNATION": "new"}
    made.stack.environ["SNOWMELT_VIEWS_PATH"] = str(home.folder / "views.json")
    default_views().dump(home.folder / "views.json")
    yield made
    made.stop()


def shop(folder: Path, day: str) -> Path:
    folder.mkdir()
    (folder / "catalogue.csv").write_text("item_id\ni1\n")
    (folder / "events.csv").write_text(f"user_id,item_id,type,event_time\nu1,i1,click,{day}T00:00:00Z\n")
    return folder


@pytest.fixture
def offsets(up: Up, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The clock that each start would give its parts; none of them starts."""
    found: list[int] = []

    def start_parts(offset_ms: int) -> None:
        found.append(offset_ms)
        raise Interrupted

    monkeypatch.setattr(up.stack, "start_parts", start_parts)
    return found


def begin(up: Up, data: Path | None) -> None:
    with pytest.raises(Interrupted):
        up.start(data)


def test_a_set_of_which_nothing_was_sent_leaves_no_clock_behind(up: Up, offsets: list[int], tmp_path: Path) -> None:
    begin(up, shop(tmp_path / "old", "2020-01-01"))
    begin(up, shop(tmp_path / "new", "2024-01-01"))
    assert offsets[0] - offsets[1] == pytest.approx(1461 * DAY_MS, abs=DAY_MS)


def test_a_set_that_was_begun_goes_on_and_no_other_comes_into_it(
    up: Up, offsets: list[int], tmp_path: Path, said: io.StringIO
) -> None:
    old, new = shop(tmp_path / "old", "2020-01-01"), shop(tmp_path / "new", "2024-01-01")
    noted = {"name": "old", "source": str(old), "path": str(old), "finished": False}
    up.home.set_data_set(noted)
    up.home.set_clock_offset_ms(5)
    for asked in (None, old, old / ".." / "old"):
        begin(up, asked)
    assert said.getvalue().count("old: 1 items, 0 users, 1 events") == 3
    with pytest.raises(
        BadDataError, match=rf"state holds part of old \({old}\), not {new}: leave out DATA .*make clean"
    ):
        up.start(new)
    up.home.set_data_set({**noted, "finished": True})
    for asked in (None, old):
        begin(up, asked)
    assert said.getvalue().count("old: loaded before, and not read again") == 2
    with pytest.raises(BadDataError, match=rf"state holds old \({old}\), not {new}"):
        up.start(new)
    assert offsets == [5] * 5


def test_the_default_set_that_was_begun_is_not_mixed_with_the_other_default(
    up: Up, offsets: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    up.home.set_data_set({"name": "Simulated shop (seed 1)", "source": "made here", "path": None, "finished": False})
    monkeypatch.setattr(module, "open_data_set", lambda *_: simulate(seed=2, users=2, items=2, days=2))
    with pytest.raises(BadDataError, match=r"part of Simulated shop \(seed 1\) .* not Simulated shop \(seed 2\)"):
        up.start(None)
    with pytest.raises(BadDataError, match="leave out DATA"):
        up.start(shop(tmp_path / "mine", "2024-01-01"))
    assert not offsets


def test_a_part_that_ends_as_everything_is_told_to_is_no_failure(
    up: Up, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = [False, True]  # Ctrl-C ends what a part has started, for example what lays out Kafka's folder

    def start_parts(_: int) -> None:
        if told.pop(0):
            up._stop.set()
        raise StartError("the folder could not be laid out")

    monkeypatch.setattr(up.stack, "start_parts", start_parts)
    data = shop(tmp_path / "mine", "2024-01-01")
    with pytest.raises(StartError):
        up.start(data)
    begin(up, data)


def test_who_asks_to_stop_need_not_wait_for_the_data_to_be_read(up: Up, offsets: list[int], tmp_path: Path) -> None:
    up._stop.set()
    begin(up, shop(tmp_path / "mine", "2024-01-01"))
    assert not offsets
    assert up.home.clock_offset_ms() is None


def filled(url: str, users: Sequence[str], sessions: Sequence[str] = ()) -> Lake:
    lake = Lake(url)
    lake.create()
    events = [Event(user_id=u) for u in users] + [Event(session_id=s) for s in sessions]
    for number, event in enumerate(events):
        event.MergeFrom(
            Event(event_id=f"e{number}", tenant="default", item_id="i1", type="click", event_time_ms=NOW_MS)
        )
    keys = [record_key("default", e.user_id or session_entity(e.session_id)) for e in events]
    values = [e.SerializeToString() for e in events]
    n = len(events)
    records = Records(EVENTS, 0, list(range(n)), [NOW_MS] * n, keys, values, [None] * n)
    decoded = decode(batch_of([records], {(EVENTS, 0): 0}), "old", EVENT_TYPES)
    assert not decoded.verdicts
    lake.append("events", decoded.rows, [Range("old", EVENTS, 0, 0, n)])
    return lake


def test_the_first_answers_are_for_users_else_sessions_else_somebody_new(tmp_path: Path) -> None:
    both = filled(str(tmp_path / "both"), ["u2", "u1", "u2"], ["s1"])
    assert visitors(both, 3) == [Visitor("u1"), Visitor("u2"), Visitor("u1")]
    seven = filled(str(tmp_path / "seven"), [f"u{n}" for n in range(7)], [])
    assert len(set(visitors(seven, 200))) == 7
    assert visitors(seven, 3) == [Visitor("u0"), Visitor("u2"), Visitor("u4")]
    assert visitors(filled(str(tmp_path / "sessions"), [], ["s2", "s1"]), 1) == [Visitor("", "s1")]
    empty = Lake(str(tmp_path / "empty"))
    empty.create()
    assert visitors(empty, 2) == [Visitor("", "newcomer")] * 2


@pytest.mark.slow
@pytest.mark.redis
def test_a_feature_that_was_added_while_it_was_stopped_gets_its_state_at_the_next_start(
    up: Up, redis_url: str, tmp_path: Path, said: io.StringIO
) -> None:
    up.stack.environ["SNOWMELT_REDIS_URL"] = redis_url
    lake = filled(up.settings.lake_url, ["u1", "u2", "u3"])
    rebuild_online(lake.url, redis_url, default_views(), lambda *_: None)
    up._mend()
    assert said.getvalue() == ""

    features = tmp_path / "feature_repo" / "features.py"
    added = 'Aggregation(name="clicks_slow", column="click", function="decayed_sum", time_window=90 * DAY),'
    features.write_text(features.read_text().replace("ITEM_STATS = [", f"ITEM_STATS = [{added}"))
    up._apply_features()
    up._mend()
    assert "the online state was written by other feature views: making it anew" in said.getvalue()
    views = CompiledViews.load(up.settings.views_path)
    assert views.hash != default_views().hash
    store = StateStore(redis_url, views)
    store.check()
    assert store.fence_table.counters()[EVENTS].applied == 3
    live = store.generation
    up._mend()
    assert store.current_generation() == live
    store.close()


def publish(up: Up, feature_list_hash: str, *, activate: bool, views_hash: str = MEANING) -> str:
    releases = ReleaseStore(up.settings.releases_url)
    origin = Origin(NOW_MS, "default", {}, 0, feature_list_hash, views_hash, "")
    made = releases.publish(lambda folder: (folder / "model.txt").write_text("trees"), origin)
    if activate:
        releases.activate(made)
    return made


def test_a_release_of_other_features_or_damaged_ranks_nothing(up: Up) -> None:
    found = lacking(up.settings)
    assert found == ("no release is active", POPULAR)
    for names, meaning in (("f" * 64, MEANING), (OURS, "e" * 64)):
        other = publish(up, names, activate=True, views_hash=meaning)
        assert lacking(up.settings) == (f"release {other} was trained on other features than are made here", UNRANKED)
    ours = publish(up, OURS, activate=True)
    assert lacking(up.settings) is None
    (Path(up.settings.releases_url) / ours / "model.txt").write_text("other")
    found = lacking(up.settings)
    assert found is not None
    assert found.answers == POPULAR
    assert ours in found.reason


@pytest.mark.parametrize("before", ["", "f" * 64])
@pytest.mark.parametrize(
    ("code", "good", "why"),
    [
        (ExitCode.OK, True, ""),
        (ExitCode.OK, False, "the one that was trained is not good enough"),
        (ExitCode.BAD_DATA, False, "the data is too little to learn from"),
    ],
)
def test_it_trains_where_nothing_can_rank_and_goes_on_without_where_that_fails(
    up: Up, monkeypatch: pytest.MonkeyPatch, before: str, code: int, good: bool, why: str
) -> None:
    if before:
        publish(up, before, activate=True)
    verbs: list[tuple[str, ...]] = []

    def verb(*words: str, expected: Sequence[int]) -> int:
        verbs.append(words)
        assert code in expected
        if code == ExitCode.OK:
            publish(up, OURS, activate=good)
        return code

    monkeypatch.setattr(up, "_verb", verb)
    lines = up.train()
    assert verbs == [("train",)]
    assert bool(lines) is not good
    if good:
        assert up.train() == []
        assert verbs == [("train",)]
    else:
        assert ("was trained on other features" if before else "no release is active") in lines[0]
        assert why in lines[1]
        assert "`snowmelt train`" in lines[2]


def test_a_training_that_fails_for_another_reason_is_no_start(up: Up) -> None:
    with pytest.raises(StartError, match="snowmelt nonsense ended with exit code 2"):
        up._verb("nonsense")


def test_a_verb_ends_when_the_start_is_given_up(up: Up) -> None:
    up._stop.set()
    with pytest.raises(Interrupted):
        up._verb("up", "--free-ports")
    run = up.home.run()  # noted by this process: the verb, which would note itself, had no time to
    assert run is not None
    assert run.pid == os.getpid()
    assert not psutil.pid_exists(run.children["up"])


def test_the_clock_of_the_data_is_its_end(up: Up, offsets: list[int], tmp_path: Path) -> None:
    begin(up, shop(tmp_path / "mine", "2024-01-01"))
    assert Clock(offsets[0]).now_ms() == pytest.approx(1_704_067_201_000, abs=60_000)
