"""``snowmelt event``: something that a user did, into Kafka through the gateway."""

import json
from typing import Annotated

import typer


def event(
    item: Annotated[str, typer.Argument(help="the item's id")],
    *,
    user: Annotated[str, typer.Option(help="the user's id")] = "",
    session: Annotated[str, typer.Option(help="an anonymous session's id instead of a user")] = "",
    kind: Annotated[str, typer.Option("--type", help="one of the declared event types")] = "click",
    value: Annotated[float | None, typer.Option(help="a rating, a quantity: what the type says it is")] = None,
    request_id: Annotated[str, typer.Option(help="the request whose slate showed the item")] = "",
    position: Annotated[int | None, typer.Option(help="the item's place in that slate, from 0")] = None,
    event_id: Annotated[str, typer.Option(help="makes a repeat harmless; default: a new one")] = "",
    target: Annotated[str, typer.Option(help="the gateway's gRPC address; default: the one that runs here")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="the answer as JSON")] = False,
) -> None:
    """Records one event and returns when Kafka has acknowledged it."""
    from snowmelt.api.events.v1.events_pb2 import Event
    from snowmelt.cli.gateway import connect
    from snowmelt.runtime.json_messages import to_json

    happened = Event(
        event_id=event_id,
        user_id=user,
        session_id=session,
        item_id=item,
        type=kind,
        value=value,
        request_id=request_id,
        position=position,
        surface="cli",
    )
    with connect(target) as client:
        answer = client.record([happened])
    if as_json:
        typer.echo(json.dumps(to_json(answer)))
    else:
        typer.echo(f"recorded: {user or session} {kind} {item}  (event {answer.event_ids[0]}, trace {answer.trace_id})")
