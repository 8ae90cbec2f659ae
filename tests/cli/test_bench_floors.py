"""The verdicts of the benchmarks: what is met, what is missed, what does not count, and the exit code of each."""

import json
from typing import Any

import pytest
import typer

from snowmelt.cli import bench_ingest, bench_rebuild, bench_serve
from snowmelt.cli.bench_floors import MET, MISSED, NOT_VALID, Floor, Verdict, end, lines

AT_LEAST, AT_MOST = Floor("rate", 20_000, "events/s"), Floor("p99", 40.0, "ms", at_least=False)


def said(verdicts: list[Verdict]) -> list[str]:
    return [str(verdict["verdict"]) for verdict in verdicts]


@pytest.mark.parametrize(
    ("floor", "figure", "invalid", "verdict"),
    [
        (AT_LEAST, 20_000.0, "", MET),
        (AT_LEAST, 19_999.0, "", MISSED),
        (AT_MOST, 40.0, "", MET),
        (AT_MOST, 40.1, "", MISSED),
        (AT_MOST, 1.0, "3 of 400 answers degraded", NOT_VALID),
        (AT_MOST, None, "", NOT_VALID),
        (AT_LEAST, None, "", NOT_VALID),
        (AT_LEAST, float("inf"), "", NOT_VALID),
    ],
)
def test_verdict(floor: Floor, figure: float | None, invalid: str, verdict: str) -> None:
    judged = floor.judge(figure, invalid)
    assert judged["verdict"] == verdict
    assert bool(judged["reason"]) == (verdict == NOT_VALID)


def test_a_floor_is_said_in_one_line_and_as_json() -> None:
    met, missed, none = AT_LEAST.judge(23_456.7), AT_MOST.judge(41.0), AT_MOST.judge(None)
    assert lines([met, missed, none]) == [
        "floor: rate: 23,456.70, at least 20,000 events/s: met",
        "floor: p99: 41.00, at most 40 ms: missed",
        "floor: p99: none, at most 40 ms: not valid (there is no figure)",
    ]
    assert json.loads(json.dumps(none, allow_nan=False))["figure"] is None
    assert (met["at_least"], missed["at_most"]) == (20_000, 40.0)


@pytest.mark.parametrize(
    ("verdicts", "check", "wrong", "code"),
    [
        ([AT_MOST.judge(1.0)], True, False, 0),
        ([AT_MOST.judge(41.0)], False, False, 0),
        ([AT_MOST.judge(1.0), AT_MOST.judge(41.0)], True, False, 1),
        ([AT_MOST.judge(1.0, "1 of 20 answers failed")], False, False, 0),
        ([AT_MOST.judge(1.0, "1 of 20 answers failed")], True, False, 1),
        ([AT_LEAST.judge(30_000.0)], False, True, 1),
    ],
)
def test_exit_code(verdicts: list[Verdict], check: bool, wrong: bool, code: int) -> None:
    found = 0
    try:
        end(verdicts, check=check, wrong=wrong)
    except typer.Exit as exited:
        found = exited.exit_code
    assert found == code


@pytest.mark.parametrize(
    ("changed", "verdicts"),
    [
        ({}, [MET, MET]),
        ({"p50_ms": 26.0}, [MISSED, MET]),
        ({"p99_ms": 41.0}, [MET, MISSED]),
        ({"degraded": 1}, [NOT_VALID, NOT_VALID]),
        ({"failed": 399, "p50_ms": 1.0}, [NOT_VALID, NOT_VALID]),
    ],
)
def test_serve_counts_whole_answers_only(changed: dict[str, float], verdicts: list[str]) -> None:
    run: dict[str, Any] = {"requests": 400, "failed": 0, "degraded": 0, "p50_ms": 25.0, "p99_ms": 40.0}
    judged = bench_serve.floors({**run, **changed}, 10.0)
    assert said(judged) == verdicts
    assert judged[0]["figure"] == {**run, **changed}["p50_ms"] / 10.0


def test_serve_says_how_many_answers_spoil_it() -> None:
    run = {"requests": 400, "failed": 2, "degraded": 3, "p50_ms": 1.0, "p99_ms": 1.0}
    assert bench_serve.floors(run, 1.0)[0]["reason"] == "2 of 400 answers failed, 3 of 400 answers degraded"


def ingest(events: int) -> dict[str, Any]:
    return {
        "events": events,
        "lake": {"events_per_s": 100_000.0},
        "features": {"events_per_s": 19_000.0},
        "event_to_online": [{"rate_per_s": 1000, "p99_ms": 5000.0}, {"rate_per_s": 500, "p99_ms": 1000.0}],
    }


def test_ingest_takes_the_time_to_online_at_the_rate_of_the_floor() -> None:
    judged = bench_ingest.floors(ingest(500_000))
    assert said(judged) == [MET, MISSED, MET]
    assert judged[2]["figure"] == 1000.0


def test_ingest_of_fewer_events_is_not_judged() -> None:
    judged = bench_ingest.floors(ingest(499_999))
    assert said(judged) == [NOT_VALID] * 3
    assert {verdict["reason"] for verdict in judged} == {"it is of 500,000 events or more"}
    assert said(bench_ingest.floors(ingest(1_000_000))) == [MET, MISSED, MET]


def test_a_rebuild_to_another_state_is_not_measured() -> None:
    assert said(bench_rebuild.floors(3.0, [])) == [MET]
    assert said(bench_rebuild.floors(2.9, [])) == [MISSED]
    (judged,) = bench_rebuild.floors(9.0, ["user_seen", "item_stats"])
    assert (judged["verdict"], judged["reason"]) == (NOT_VALID, "other states of user_seen, item_stats")
