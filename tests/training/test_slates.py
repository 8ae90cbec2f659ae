"""A query stands before the slate that led to its choices: what was shown does not tell what was chosen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xxhash

from services.trainer.adapters.lake import LakeHistory
from snowmelt.contracts.clock import DAY_MS
from snowmelt.lake import Lake
from snowmelt.training.interactions import Interactions
from snowmelt.training.model import Trainer
from snowmelt.training.queries import at_choices
from snowmelt.training.slates import UNNAMED_MS, shown_ms
from snowmelt.training.windows import windows
from tests.training.shop import CONFIG, small_past
from tests.training.slates import SHOWN, shown_past, slate, table
from tests.training.test_trainer_process import common, fill, land

T = 1_700_000_000_000


def event(time: int, item: str, request: str = "", user: str = "u", session: str = "") -> dict[str, object]:
    named = {"tenant": "default", "user_id": user, "session_id": session, "request_id": request}
    return named | {"item_id": item, "event_time": (T + time) * 1000}


@pytest.mark.parametrize(
    ("happened", "found"),
    [
        (event(100, "a"), 60),
        (event(100, "a", "first"), 10),
        (event(100, "a", "first", user="v"), 10),
        (event(100, "b", "first"), 50),
        (event(100, "b", "lost"), 50),
        (event(55, "a"), 10),
        (event(60, "a"), 60),
        (event(5, "a", "first"), 5),
        (event(100, "c"), 100),
        (event(100, "never shown"), 100),
        (event(100, "a", user="v"), 100),
        (event(100, "c", user="", session="s"), 70),
        (event(100, "c", user="v", session="s"), 70),
        (event(100, "a") | {"tenant": "other"}, 100),
        (event(60 + UNNAMED_MS, "a"), 60),
        (event(61 + UNNAMED_MS, "a"), 61 + UNNAMED_MS),
        (event(61 + UNNAMED_MS, "a", "first"), 10),
        (event(100, "a") | {"user_id": None, "session_id": None, "request_id": None}, 100),
    ],
)
def test_the_slate_that_led_to_an_event(happened: dict[str, object], found: int) -> None:
    slates = [
        slate("second", T + 60, "a", user="u"),
        slate("first", T + 10, "a", user="u"),
        slate("other", T + 50, "x", "b", user="u", session="t"),
        slate("empty", T + 80, user="u"),
        slate("anonymous", T + 70, "c", session="s"),
    ]
    events = table("events", [event(1, "x"), happened])
    assert (shown_ms(events, table("impressions", slates)) - T).tolist() == [1, found]


def choices(*of: tuple[str, int, int]) -> Interactions:
    """Of one user; each an item, when its slate was made, and when it was chosen."""
    keys, shown, times = np.array([ord(o[0]) for o in of], np.uint64), *np.array([o[1:] for o in of]).T
    return Interactions(np.zeros(len(of), np.int64), keys, times, ("u",), shown)


def asked(touches: Interactions, start_ms: int = 0) -> list[tuple[int, str]]:
    found = at_choices(touches, start_ms, 10_000, horizon_ms=1_000, per_user=99, limit=99)
    truths = ["".join(map(chr, truth.tolist())) for truth in found.truths]
    return list(zip(found.as_of_ms.tolist(), truths, strict=True))


def test_a_query_stands_before_the_slates_of_all_that_is_its_truth() -> None:
    assert asked(choices(("a", 100, 110))) == [(99, "a")]
    assert asked(choices(("a", 100, 110), ("b", 200, 200), ("c", 250, 260))) == [(99, "abc"), (199, "bc"), (249, "c")]
    one_slate = choices(("a", 100, 110), ("b", 100, 120), ("c", 2_000, 2_010))
    assert asked(one_slate) == [(99, "ab"), (1_999, "c")]
    crossing = choices(("a", 100, 120), ("b", 115, 130), ("c", 90, 140), ("d", 141, 150))
    assert asked(crossing) == [(89, "abcd"), (140, "d")]
    at_the_instant_of_a_choice = choices(("a", 100, 120), ("b", 120, 130))
    assert asked(at_the_instant_of_a_choice) == [(99, "ab")]


def test_a_choice_whose_slate_is_older_than_the_window_or_the_horizon_is_asked_nothing() -> None:
    assert asked(choices(("a", 100, 120), ("b", 125, 130)), start_ms=110) == [(124, "b")]
    assert asked(choices(("a", 100, 1_100), ("b", 1_200, 1_210))) == [(1_199, "b")]
    assert asked(choices(("a", 100, 150), ("b", 110, 1_100), ("c", 1_150, 1_160))) == [(99, "a"), (1_149, "c")]


def in_the_plain(touches: Interactions, start_ms: int, end_ms: int, per_user: int, limit: int) -> Iterator[tuple]:
    """(user, instant, truth) by the rule for what was never shown, one choice after the other."""
    rows = list(zip(touches.users.tolist(), touches.times_ms.tolist(), touches.keys.tolist(), strict=True))
    rows = [row for row in rows if start_ms <= row[1] < end_ms]
    lots = {
        (u, t): xxhash.xxh3_64_intdigest(f"{touches.user_names[u]}\0{t}".encode()) for u, t in {r[:2] for r in rows}
    }
    kept = []
    for user in {u for u, _ in lots}:
        kept += sorted((moment for moment in lots if moment[0] == user), key=lots.__getitem__)[:per_user]
    for user, time in sorted(sorted(kept, key=lots.__getitem__)[:limit]):
        yield user, time - 1, sorted(k for u, t, k in rows if u == user and time <= t < time + DAY_MS)


@pytest.mark.parametrize(("per_user", "limit"), [(1, 40), (4, 10_000), (99, 50)])
def test_without_impressions_the_queries_are_those_before_each_choice(per_user: int, limit: int) -> None:
    past = small_past()
    trainer = Trainer(past, replace(CONFIG, per_user=per_user), lambda *_: None)
    (start, end), _ = windows(trainer.touches(past.end_ms), past.end_ms, CONFIG).blocks
    found = trainer.queries(start, end, limit)
    plain = list(in_the_plain(trainer.touches(end), start, end, per_user, limit))
    assert [(u, t, k.tolist()) for u, t, k in zip(found.users, found.as_of_ms, found.truths, strict=True)] == plain
    never = Trainer(replace(past, shown_ms=past.events.times_ms), trainer.config, lambda *_: None)
    again = never.queries(start, end, limit)
    assert [again.users.tolist(), again.as_of_ms.tolist()] == [found.users.tolist(), found.as_of_ms.tolist()]
    assert [t.tolist() for t in again.truths] == [t.tolist() for t in found.truths]


@pytest.mark.parametrize("named", [True, False])
def test_the_slates_that_led_to_the_choices_are_in_no_feature_of_any_candidate(named: bool) -> None:
    past = shown_past(named)
    trainer = Trainer(past, CONFIG, lambda *_: None)
    (start, end), _ = windows(trainer.touches(past.end_ms), past.end_ms, CONFIG).blocks
    queries, tables = trainer.queries(start, end, 8), trainer.tables(start)
    assert past.impressions is not None
    for place in range(len(queries)):
        query = queries.take(np.array([place]))
        own = past.events.user_words.equal(query.entities[0]) & np.isin(past.events.item_keys, query.truths[0])
        led = np.isin(past.impressions.offsets, np.flatnonzero(own))
        assert np.count_nonzero(led) == SHOWN * len(query.truths[0])
        without = replace(past, impressions=past.impressions.take(~led))
        (mine,) = trainer.shop(start, end, tables).pools(query, lambda _: None)
        (theirs,) = Trainer(without, CONFIG, lambda *_: None).shop(start, end, tables).pools(query, lambda _: None)
        assert mine.candidates.keys.tolist() == theirs.candidates.keys.tolist()
        assert np.array_equal(mine.matrix, theirs.matrix, equal_nan=True)


def test_slates_that_say_nothing_do_not_tell_what_was_chosen() -> None:
    past = shown_past(True)
    trainer = Trainer(past, CONFIG, lambda *_: None)
    learned = trainer.learn(windows(trainer.touches(past.end_ms), past.end_ms, CONFIG))
    shown_lately = learned.matrix[:, learned.names.index("item.impressions_1h")] > 0
    chosen, others = (float(shown_lately[learned.labels == label].mean()) for label in (1, 0))
    assert 0.1 < others < 0.9
    assert abs(chosen - others) < 0.1


def test_the_lake_says_which_slate_led_to_each_event(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.create()
    fill(lake)
    history = LakeHistory(lake, small_past().views)
    before, _ = history.read()
    assert before.shown_ms is None
    events = before.events
    time, user, item = int(events.times_ms[-1]), events.users[-1], events.items[-1]
    of = slate("r", time - 7_000, item, user=user)
    shown = {name: [value] for name, value in of.items()} | common(1, [time])
    del shown["event_time"]
    land(lake, "impressions", "snowmelt.impressions", shown)
    past, _ = history.read()
    assert past.impressions is not None
    assert past.shown_ms is not None
    assert past.shown_ms[-1] == time - 7_000
    assert np.count_nonzero(past.shown_ms != past.events.times_ms) == 1
