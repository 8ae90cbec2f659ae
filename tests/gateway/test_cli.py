"""``snowmelt recommend`` and ``snowmelt event`` against a gateway, and a slate at 80 columns."""

import json
import os
import subprocess
import sys

import pytest

from snowmelt.api.events.v1.events_pb2 import SourceHit
from snowmelt.api.gateway.v1.gateway_pb2 import Contribution, RecommendResponse, SlateItem
from snowmelt.cli.slate import lines
from tests.gateway.house import House


def call(house: House, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {
        **os.environ,
        "COLUMNS": "80",
        "SNOWMELT_STATE_DIR": str(house.folder),
        "SNOWMELT_GATEWAY_GRPC_ADDRESS": house.gateway.grpc_address,
    }
    argv = [sys.executable, "-m", "snowmelt.cli.main", *arguments]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_a_slate_is_readable(house: House) -> None:
    house.did("cli", ("click", "i1"))
    done = call(house, "recommend", "cli", "-k", "3", "--explain")
    assert done.returncode == 0, done.stderr
    for said in (
        "The i11",
        "[i11]",
        "Because you clicked The i1",
        "vectors #12",
        "interactions_7d = 3",
        "3 items · full",
    ):
        assert said in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_one_document(house: House) -> None:
    done = call(house, "recommend", "cli", "-k", "2", "--json")
    answer = json.loads(done.stdout)
    assert [item["item_id"] for item in answer["items"]] == ["i11", "i10"]


def test_a_session_and_filters(house: House) -> None:
    arguments = ("--session", "s", "--did", "click:i3", "--did", "view:i6", "--category", "Drama", "--exclude", "i0")
    answer = json.loads(call(house, "recommend", *arguments, "--json").stdout)
    assert [item["item_id"] for item in answer["items"]] == ["i9"]


def test_an_event_is_recorded(house: House) -> None:
    done = call(house, "event", "i2", "--user", "cli", "--type", "rating", "--value", "4", "--event-id", "e1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("recorded: cli rating i2  (event e1, trace ")
    assert json.loads(call(house, "event", "i2", "--user", "cli", "--json").stdout)["accepted"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("event", "i2", "--user", "cli", "--type", "clik"), 1, "did you mean click?"),
        (("event", "i2"), 1, "set user_id or session_id"),
        (("event",), 2, "Missing argument"),
        (("recommend", "cli", "-k", "0"), 1, "greater than or equal to 1"),
        (("recommend", "cli", "-k", "x"), 2, "-k"),
        (("recommend", "cli", "--nope"), 2, "--nope"),
        (("recommend", "--session", "s", "--did", "i3"), 1, "TYPE:ITEM"),
        (("recommend",), 1, "set user_id or session_id"),
        (("recommend", "cli", "--target", "127.0.0.1:9"), 69, ""),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    house: House, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = call(house, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_long_titles_are_cut_at_the_width() -> None:
    item = SlateItem(
        item_id="x" * 60, title="T" * 200, reason="Because " + "y" * 200,
        sources=[SourceHit(source=f"source-{n}", rank=n, score=1.0) for n in range(1, 9)],
        contributions=[Contribution(feature="f" * 100, contribution=0.1)],
    )  # fmt: skip
    answer = RecommendResponse(items=[item], rung="retrieval_order", degraded=["ranker", "features"], cold_start=True)
    shown = lines(answer, 80)
    assert all(line.cell_len <= 80 for line in shown)
    assert "degraded: ranker, features" in shown[0].plain
    assert "new user" in shown[0].plain
    assert "nothing else passes" in lines(RecommendResponse(reason="all_filtered"), 80)[1].plain
