"""``snowmelt deadletters``: what ingest could not take, why, and another try."""

import json
from datetime import datetime
from typing import Annotated, Any

import pyarrow.compute as pc
import typer

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import DEAD_LETTERS, Lake
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.producer import Producer

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show, replay invalid messages")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]
Letter = Annotated[str, typer.Argument(help="topic/partition/offset, as `list` shows it")]


@app.command("list")
def list_letters(
    reason: Annotated[str, typer.Option(help="only those with this reason")] = "",
    limit: Annotated[int, typer.Option(min=1, help="how many of the newest")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest dead letters, with their reasons."""
    found = _letters(reason)
    shown = found[-limit:]
    if as_json:
        print(json.dumps({"total": len(found), "letters": [_plain(each) for each in shown]}))
        return
    for each in shown:
        print(f"{_name(each)}  {each['reason']}  {each['detail']}")
    print(f"{len(found)} dead letters" + (f", the newest {len(shown)} shown" if len(shown) < len(found) else ""))


@app.command()
def show(letter: Letter, as_json: AsJson = False) -> None:
    """One dead letter with its bytes in hexadecimal."""
    plain = _plain(_one(letter))
    if as_json:
        print(json.dumps(plain))
        return
    for key, value in plain.items():
        print(f"{key:<16}{value}")


@app.command()
def replay(
    letter: Annotated[str, typer.Argument(help="topic/partition/offset; empty with --reason")] = "",
    reason: Annotated[str, typer.Option(help="all with this reason")] = "",
    as_json: AsJson = False,
) -> None:
    """Send dead letters to their topics again, as they were: after their event type was declared, for instance."""
    if bool(letter) == bool(reason):
        raise SnowmeltError(Reason.INVALID_FIELD, "name one dead letter, or --reason for all of a kind")
    found = [_one(letter)] if letter else _letters(reason)
    whole = [each for each in found if each["payload"] is not None]
    settings = Settings.load()
    producer = Producer(settings.kafka_bootstrap)
    now_ms = Clock(settings.clock_offset_ms).now_ms()
    for each in whole:
        producer.post(each["topic"], each["key"], each["payload"], now_ms)
    producer.close()
    left = len(found) - len(whole)
    if as_json:
        print(json.dumps({"replayed": len(whole), "without_payload": left}))
    else:
        print(f"{len(whole)} sent again" + (f"; {left} have no bytes kept and cannot be" if left else ""))


def _letters(reason: str) -> list[dict[str, Any]]:
    filters = pc.field("reason") == reason if reason else None
    rows: list[dict[str, Any]] = Lake(Settings.load().lake_url).read(DEAD_LETTERS, filters=filters).to_pylist()
    return sorted(rows, key=lambda each: (each["record_time"], _name(each)))


def _one(letter: str) -> dict[str, Any]:
    found = [each for each in _letters("") if _name(each) == letter]
    if not found:
        raise SnowmeltError(Reason.NOT_FOUND, f"there is no dead letter {letter}: see `snowmelt deadletters list`")
    return found[-1]


def _name(letter: dict[str, Any]) -> str:
    return f"{letter['topic']}/{letter['partition']}/{letter['offset']}"


def _plain(letter: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {"letter": _name(letter)}
    for key, value in letter.items():
        if isinstance(value, bytes):
            plain[key] = value.hex()
        else:
            plain[key] = value.isoformat() if isinstance(value, datetime) else value
    return plain
