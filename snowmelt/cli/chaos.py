"""``snowmelt chaos``: drills that break real parts on purpose and check what came of it; one file a drill."""

import importlib

import typer

app = typer.Typer(add_completion=False, help="Kill processes at named points and check the outcome")

DRILLS = {
    "ingest": "kill both lanes at every named point",
    "poison": "bad records of every kind among good ones",
    "redis": "kill, cut, empty and fail over Redis",
    "pressure": "stall the lake, flood both lanes, heat one key",
    "zombies": "stop processes beyond their session, replace them, let them go on",
    "scale": "processes of both lanes come and go",
    "brokers": "kill Kafka nodes, one by one and two at once",
}


@app.callback()
def _verbs() -> None:
    """Makes each drill a verb of its own, also where there is one."""


for _drill, _said in DRILLS.items():
    app.command(_drill, help=_said)(getattr(importlib.import_module(f"snowmelt.cli.chaos_{_drill}"), _drill))
