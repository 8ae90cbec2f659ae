"""``snowmelt status``: ready or not and why, what became of every record, the release, ages."""

import dataclasses
import json
import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from snowmelt.client import ADMIN, AdminClient, token_of
from snowmelt.contracts.errors import ExitCode, SnowmeltError
from snowmelt.embedded.home import Home
from snowmelt.embedded.lanes import Lanes
from snowmelt.embedded.places import ask_lanes
from snowmelt.runtime.auth import Role
from snowmelt.runtime.config import ConfigError, Settings


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
    said: dict[str, Any] = {"ready": False, "reasons": [], "flows": [], "release": "", "ages_seconds": {}}
    said["data"] = Home(settings.state_dir).data_set()
    try:
        lanes = Lanes(settings)
        said["flows"] = [{**dataclasses.asdict(flow), "balanced": flow.balanced} for flow in lanes.flows()]
        lanes.close()
    except (SnowmeltError, OSError) as wrong:
        said["reasons"].append(f"the lanes cannot be asked: {getattr(wrong, 'detail', wrong)}")
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
    for lane, reasons in ask_lanes(settings).items():
        said["reasons"] += [f"the {lane} lane: {reason}" for reason in reasons or []]
    said["ready"] = not said["reasons"]
    return said


def _print(said: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print("ready" if said["ready"] else "not ready")
    for reason in said["reasons"]:
        console.print(f"  {reason}", markup=False)
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
            f"{flow['behind_seconds']:.1f}",
            "yes" if flow["balanced"] else "NO",
        )
    console.print(table)
    for name, age in sorted(said["ages_seconds"].items()):
        console.print(f"  {name:<24} {age:8.1f} s old")
