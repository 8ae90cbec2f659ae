"""``snowmelt offsets replay``: both lanes go back to a time; ADR 0009."""

import json
import time
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import FEATURE_TOPICS
from snowmelt.datasets.data_set import silent
from snowmelt.embedded.console import Reporter
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.rebuild import Progress, rebuild_online
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.lake.going_back import TOPICS, Plan, instant_ms, plan, reached
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin

LOOK_S = 0.5
TIMEOUT_S = 5.0


def replay(
    start: Annotated[
        str, typer.Option("--from", help="a Kafka record time: ISO-8601 (without an offset: UTC) or milliseconds")
    ],
    lane: Annotated[
        Literal["lake", "features", "both"],
        typer.Option(help="lake: rows are read again; features: state is built again from the lake"),
    ] = "both",
    yes: Annotated[bool, typer.Option("--yes", help="do it; without it nothing is changed")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, help="seconds that the lake lane may stand still before this gives up")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Say what going back to a time would do, and with --yes do it; lanes may run meanwhile, serving goes on."""
    time_ms = _parsed(start)
    settings = Settings.load()
    lake = Lake(settings.lake_url)
    back = _plan(settings, lake, time_ms) if lane != "features" else Plan((), ())
    document = {"from_ms": time_ms, "done": False, "lost": [str(each) for each in back.lost]}
    document["steps"] = [asdict(step) for step in back.steps]
    reporter = Reporter()
    if not as_json:
        _tell(reporter, back, settings, lake, lane)
    if back.lost:
        if as_json:
            print(json.dumps(document))
        raise SnowmeltError(Reason.INVALID_FIELD, f"nothing was changed: go back to {_iso(back.earliest_ms)} or later")
    if yes:
        with nullcontext() if as_json else reporter:
            progress = silent if as_json else reporter.progress
            generation = _do(settings, lake, lane, back, wait_s=wait_s, progress=progress)
        document |= {"done": True, "generation": generation}
        if not as_json:
            reporter.say("done" + (f"; generation {generation} is live" if generation else ""))
    elif not as_json:
        reporter.say("nothing was changed; say --yes to do it")
    if as_json:
        print(json.dumps(document))


def _parsed(start: str) -> int:
    try:
        return instant_ms(start)
    except ValueError as error:
        detail = f"--from {start!r} is no time: say 2024-05-01T12:00 (UTC) or milliseconds since 1970"
        raise SnowmeltError(Reason.INVALID_FIELD, detail) from error


def _plan(settings: Settings, lake: Lake, time_ms: int) -> Plan:
    admin = Admin.at_once(settings.kafka_bootstrap, TIMEOUT_S)
    admin.nodes()
    return plan(lake, admin, admin.incarnations(TOPICS, settings.kafka_incarnation), time_ms)


def _tell(reporter: Reporter, back: Plan, settings: Settings, lake: Lake, lane: str) -> None:
    if lane != "features":
        if back.steps:
            reporter.say(f"{'lake':<22} {'from':>12} {'back to':>12} {'rows':>11} {'dead letters':>12}")
        for step in back.steps:
            name = f"{step.topic}/{step.partition}"
            reporter.say(f"{name:<22} {step.position:>12,} {step.target:>12,} {step.rows:>11,} {step.letters:>12,}")
        if not back.steps:
            reporter.say("lake: nothing of that time or later; nothing to go back to")
        for lost in back.lost:
            reporter.say(f"cannot be read again: {lost}")
        if back.steps:
            reporter.say("the rows go, and the lake lane reads them again; catalogue and users stay")
    if lane != "lake" and not back.lost:
        live = StateStore(settings.redis_url, CompiledViews.load(settings.views_path)).current_generation()
        rows = sum(lake.rows(TOPIC_TABLES[topic]) for topic in FEATURE_TOPICS)
        reporter.say(
            f"features: a new generation beside {live or 'none'} from {rows:,} rows of the lake, then the switch"
        )


def _do(settings: Settings, lake: Lake, lane: str, back: Plan, *, wait_s: float, progress: Progress) -> str | None:
    for topic in TOPICS:
        targets = {step.key: step.target for step in back.steps if step.topic == topic}
        if targets:
            lake.rewind(TOPIC_TABLES[topic], targets)
    _read_again(lake, back, wait_s, progress, "" if lane == "lake" else ", and then `snowmelt rebuild online`")
    if lane == "lake":
        return None
    views = CompiledViews.load(settings.views_path)
    return rebuild_online(settings.lake_url, settings.redis_url, views, progress)


def _read_again(lake: Lake, back: Plan, wait_s: float, progress: Progress, then: str) -> None:
    """Waits until the lake is where it was, so that the state built from it is not older than the one it replaces."""
    total = sum(step.position - step.target for step in back.steps)
    done, since = 0, time.monotonic()
    while done < total:
        progress("read again", done, total)
        if (now := reached(lake, back.steps)) > done:
            done, since = now, time.monotonic()
        elif time.monotonic() - since > wait_s:
            detail = f"the lake lane has read {done:,} of {total:,} again and stands still: start it{then}"
            raise SnowmeltError(Reason.UNAVAILABLE, detail)
        else:
            time.sleep(LOOK_S)
    if total:
        progress("read again", total, total)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
