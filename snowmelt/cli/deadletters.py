"""``snowmelt deadletters``: what ingest could not take and why; bring it in, or let a paused lane go on without it."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.cli.deadletters_replay import KEY_HELP, VALUE_HELP, replay_letters
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import LAKE_TOPICS
from snowmelt.lake import DEAD_LETTERS, Lake
from snowmelt.lake.letters import Letter, find, letters, payloads
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show, replay, accept invalid messages")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]
Name = Annotated[str, typer.Argument(help="topic/partition/offset, as `list` shows it")]
OfReason = Annotated[str, typer.Option(help="only those with this reason")]
OfTopic = Annotated[str, typer.Option(help="only those of this topic")]
_WIDTH = 80
_SHOWN_BYTES = 256


@app.command("list")
def list_letters(
    reason: OfReason = "",
    topic: OfTopic = "",
    limit: Annotated[int, typer.Option(min=1, help="how many of the newest")] = 20,
    as_json: AsJson = False,
) -> None:
    """The newest dead letters, with their reasons; + stands before those that were sent again."""
    found = letters(_lake(), topic, reason)
    reasons = dict(Counter(each.reason for each in found).most_common())
    shown, again = found[-limit:], sum(bool(each.replays) for each in found)
    if as_json:
        told = {"total": len(found), "reasons": reasons, "replayed": again}
        print(json.dumps(told | {"letters": [_plain(each) for each in shown]}))
        return
    for each in shown:
        line = f"{'+' if each.replays else ' '} {each.name}  {each.reason}  {each.detail}"
        print(line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…")
    print(f"{len(found)} dead letters" + (f", the newest {len(shown)} shown" if len(shown) < len(found) else ""))
    for name, count in reasons.items():
        print(f"  {name:<20} {count:>9,}")
    if again:
        print(f"  {again:,} were sent again")


@app.command()
def show(
    letter: Name,
    raw: Annotated[Path | None, typer.Option(help="write the bytes to this file")] = None,
    as_json: AsJson = False,
) -> None:
    """One dead letter, with its bytes in hexadecimal."""
    lake = _lake()
    found = find(lake, letter)
    payload = payloads(lake, [found])[found.place]
    if raw is not None:
        if payload is None:
            raise SnowmeltError(Reason.INVALID_FIELD, f"{letter} has no bytes to write: {_kept(found)}")
        raw.write_bytes(payload)
    if as_json:
        print(json.dumps(_plain(found) | {"payload": None if payload is None else payload.hex()}))
        return
    for name, value in _plain(found).items():
        if name != "replays":
            print(f"{name:<16}{value}")
    for again in found.replays:
        print(f"{'sent again':<16}{again.sent_at.isoformat()} as {found.topic}/{again.partition}/{again.offset}")
    print(_dump(payload) if payload is not None else _kept(found))


@app.command()
def replay(
    letter: Annotated[str, typer.Argument(help="topic/partition/offset; empty with --reason or --topic")] = "",
    *,
    reason: Annotated[str, typer.Option(help="all with this reason")] = "",
    topic: Annotated[str, typer.Option(help="all of this topic")] = "",
    again: Annotated[bool, typer.Option("--again", help="also those that were sent again before")] = False,
    value: Annotated[Path | None, typer.Option(help=VALUE_HELP)] = None,
    key: Annotated[str | None, typer.Option(help=KEY_HELP)] = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to their topics again, as they were: after their event type was declared, for instance."""
    if bool(letter) == bool(reason or topic):
        raise SnowmeltError(Reason.INVALID_FIELD, "name one dead letter, or --reason or --topic for all of a kind")
    if (value or key is not None) and not letter:
        raise SnowmeltError(Reason.INVALID_FIELD, "--value and --key mend one dead letter: name it")
    lake = _lake()
    found = [find(lake, letter)] if letter else letters(lake, topic, reason)
    told = replay_letters(lake, found, again=again, value=value.read_bytes() if value else None, key=key)
    if as_json:
        print(json.dumps(asdict(told)))
        return
    print(f"{told.replayed} sent again")
    if told.without_payload:
        print(f"{told.without_payload} have no bytes kept and cannot be")
    if told.before:
        print(f"{told.before} were sent again before; --again sends them once more")


@app.command()
def accept(
    topic: Annotated[str, typer.Argument(help="the topic of which a lane says that it has paused")],
    as_json: AsJson = False,
) -> None:
    """Keep a topic's bad records that are there now as dead letters: a lane that has paused goes on by itself."""
    if topic not in LAKE_TOPICS:
        raise SnowmeltError(Reason.INVALID_FIELD, f"{topic} is none of {', '.join(LAKE_TOPICS)}")
    settings = Settings.load()
    admin = Admin.at_once(settings.kafka_bootstrap)
    incarnation = admin.incarnations([topic], settings.kafka_incarnation)[topic]
    ends = {partition: marks.high for (_, partition), marks in sorted(admin.watermarks([topic]).items())}
    _lake().mark(DEAD_LETTERS, "accepted", {(incarnation, topic, p): end for p, end in ends.items()})
    if as_json:
        print(json.dumps({"topic": topic, "before": ends}))
    else:
        print(f"bad records of {topic} are dead letters up to the present ends of its {len(ends)} partitions")
        print("a lane that has paused goes on within seconds; what comes later can pause it again")


def _lake() -> Lake:
    return Lake(Settings.load().lake_url)


def _kept(letter: Letter) -> str:
    if letter.payload_bytes is None:
        return "the record had no value"
    return f"of its {letter.payload_bytes:,} bytes hash and size were kept alone"


def _dump(payload: bytes) -> str:
    lines = [payload[at : at + 16].hex(" ") for at in range(0, min(len(payload), _SHOWN_BYTES), 16)]
    if len(payload) > _SHOWN_BYTES:
        lines.append(f"… {len(payload) - _SHOWN_BYTES:,} more bytes: --raw FILE writes all")
    return "\n".join(lines) or "the value is empty"


def _plain(letter: Letter) -> dict[str, Any]:
    plain: dict[str, Any] = {"letter": letter.name}
    for name, value in asdict(letter).items():
        plain[name] = value.hex() if isinstance(value, bytes) else value
        if isinstance(value, datetime):
            plain[name] = value.isoformat()
    plain["replays"] = [
        {"sent_at": each.sent_at.isoformat(), "letter": f"{letter.topic}/{each.partition}/{each.offset}"}
        for each in letter.replays
    ]
    return plain
