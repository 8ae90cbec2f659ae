"""``snowmelt status``: ready or not and why, what became of every record, the release, ages."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from snowmelt.client import ADMIN, AdminClient, token_of
from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.contracts.topics import LANE_TOPICS
from snowmelt.embedded.home import Home
from snowmelt.embedded.lanes import Flow, Lanes
from snowmelt.embedded.places import Places, ask, ask_lanes
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import ConfigError, Settings
from snowmelt.runtime.kafka.admin import Admin

LONG_S = 60.0
"""A lane that cannot be asked is taken for ready until a record that its sink lacks is so old."""
TRAINER = "127.0.0.1:7093"
_GAP = re.compile(r"([^\s,/]+)/\d+:(\d+)-(\d+)")


def status(*, as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False) -> None:
    """Says how the system is; exit code 69 where it is not ready."""
    said = look(Settings.load())
    if as_json:
        typer.echo(json.dumps(said, indent=1))
    else:
        _print(said)
    if not said["ready"]:
        raise typer.Exit(ExitCode.UNAVAILABLE)


def look(settings: Settings) -> dict[str, Any]:
    """Everything that ``--json`` shows; what cannot be asked is a reason for not being ready."""
    said: dict[str, Any] = {"ready": False, "reasons": [], "notes": [], "flows": [], "release": "", "ages_seconds": {}}
    said["data"] = Home(settings.state_dir).data_set()
    flows: Sequence[Flow] = ()
    try:
        flows = _flows(settings)
        said["flows"] = [{**dataclasses.asdict(flow), "balanced": flow.balanced} for flow in flows]
        said["reasons"] += [f"the {flow.lane} lane's sink: {fault}" for flow in flows if (fault := _fault(flow))]
    except (SnowmeltError, OSError) as wrong:
        said["reasons"].append(f"the lanes' sinks cannot be asked: {getattr(wrong, 'detail', wrong)}")
    _ask_gateway(settings, said)
    _ask_lanes(settings, flows, said)
    trainer = os.environ.get("SNOWMELT_TRAINER_OPS_ADDRESS", TRAINER)
    if not ask("trainer", trainer).answers:
        said["notes"].append(f"no trainer answers at {trainer}: releases are made by `snowmelt train` alone")
    _age_features(flows, said["ages_seconds"])
    said["ready"] = not said["reasons"]
    return said


def _flows(settings: Settings) -> Sequence[Flow]:
    lanes = Lanes(settings, Admin.at_once(settings.kafka_bootstrap))
    try:
        flows = lanes.flows()
        # A sink that was exchanged between two reads explains what a second look does not show again.
        return lanes.flows() if any(map(_fault, flows)) else flows
    finally:
        lanes.close()


def _fault(flow: Flow) -> str:
    gaps = _GAP.findall(os.environ.get("SNOWMELT_INGEST_ACCEPT_GAPS", ""))
    return flow.fault(sum(int(end) - int(start) for topic, start, end in gaps if topic == flow.topic))


def _age_features(flows: Sequence[Flow], ages: dict[str, float]) -> None:
    """How old the state is that slates are made of: what the feature lane lacks, and what the replica does."""
    waits = [flow.behind_seconds for flow in flows if flow.lane == "features"]
    known = [wait for wait in waits if wait is not None]
    if "replica" in ages and known and len(known) == len(waits):
        ages["features"] = max(known) + ages["replica"]


def _ask_gateway(settings: Settings, said: dict[str, Any]) -> None:
    try:
        target = os.environ.get("SNOWMELT_GATEWAY_ADMIN_GRPC_ADDRESS", ADMIN)
        with AdminClient(target, token=token_of(settings.tokens_path, Role.ADMIN)) as client:
            answer = client.status()
        said["reasons"] += list(answer.reasons)
        said["release"] = answer.release_id
        said["now_ms"] = answer.now_ms
        said["ages_seconds"] = dict(answer.ages_seconds)
    except (SnowmeltError, ConfigError) as wrong:
        said["reasons"].append(f"the gateway cannot be asked: {getattr(wrong, 'detail', wrong)}")


def _ask_lanes(settings: Settings, flows: Sequence[Flow], said: dict[str, Any]) -> None:
    """What the lanes say of themselves; one that says nothing is judged by log and sink alone."""
    told = ask_lanes(settings)
    said["reasons"] += [f"the {each.part} lane: {reason}" for each in told for reason in each.reasons]
    for lane in LANE_TOPICS:
        if any(each.answers for each in told if each.part == lane):
            continue
        if not any(each.part == lane for each in told):
            said["notes"].append(f"the {lane} lane is not asked (SNOWMELT_LANES_OPS): judged by log and sink alone")
        mine = [flow for flow in flows if flow.lane == lane]
        unknown = [flow.topic for flow in mine if flow.behind_events and flow.behind_seconds is None]
        if unknown:
            said["notes"].append(f"the {lane} lane: how long records wait could not be read ({', '.join(unknown)})")
        oldest = max((flow.behind_seconds or 0.0 for flow in mine), default=0.0)
        if oldest > LONG_S:
            said["reasons"].append(f"the {lane} lane: the oldest record that its sink lacks is {oldest:.0f} s old")
        if mine:  # else the sinks could not be asked, which is a reason already
            try:
                stopped = [each.stopped for each in Places(settings).look(lane) if each.stopped]
            except (SnowmeltError, ConfigError, OSError) as wrong:
                stopped = [f"its partitions cannot be looked at: {getattr(wrong, 'detail', wrong)}"]
            said["reasons"] += [f"the {lane} lane: {why}" for why in stopped]


def _print(said: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print("ready" if said["ready"] else "not ready")
    for reason in said["reasons"]:
        console.print(f"  {reason}", markup=False)
    for note in said["notes"]:
        console.print(f"note: {note}", markup=False)
    console.print(f"release {said['release'] or 'none'}")
    if not said["flows"]:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("topic", "lane", "produced", "taken", "twice", "dead", "behind", "seconds", "even"):
        table.add_column(column, justify="left" if column in ("topic", "lane", "even") else "right")
    for flow in said["flows"]:
        numbers = (flow[name] for name in ("produced", "taken", "duplicates", "dead_lettered", "behind_events"))
        table.add_row(
            flow["topic"].removeprefix("snowmelt."),
            flow["lane"],
            *(f"{n:,}" for n in numbers),
            "?" if flow["behind_seconds"] is None else f"{flow['behind_seconds']:.1f}",
            "yes" if flow["balanced"] else "NO",
        )
    console.print(table)
    for name, age in sorted(said["ages_seconds"].items()):
        console.print(f"  {name:<24} {age:8.1f} s old")
