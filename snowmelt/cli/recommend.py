"""``snowmelt recommend``: a slate, readable: title, where it came from, why."""

import json
from typing import Annotated

import typer

from snowmelt.contracts.errors import Reason, SnowmeltError


def recommend(
    user: Annotated[str, typer.Argument(help="the user's id; leave it out with --session")] = "",
    *,
    session: Annotated[str, typer.Option(help="an anonymous session's id instead of a user")] = "",
    did: Annotated[
        list[str] | None, typer.Option(help="what the session did, newest last: TYPE:ITEM, such as click:42")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="how many items, 1 to 100")] = 10,
    category: Annotated[list[str] | None, typer.Option(help="only items of this category (repeatable)")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="not this item (repeatable)")] = None,
    surface: Annotated[str, typer.Option(help="where the slate is shown, for the log")] = "cli",
    explain: Annotated[bool, typer.Option("--explain", help="what each feature added to an item's score")] = False,
    timeout_ms: Annotated[int | None, typer.Option(help="the request's budget")] = None,
    target: Annotated[str, typer.Option(help="the gateway's gRPC address; default: the one that runs here")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="the answer as JSON")] = False,
) -> None:
    """Asks the gateway for a slate."""
    from snowmelt.api.gateway.v1.gateway_pb2 import SessionEvent
    from snowmelt.cli.gateway import connect
    from snowmelt.cli.slate import show
    from snowmelt.runtime.json_messages import to_json

    steps = [step.partition(":") for step in did or []]
    if any(not colon for _, colon, _ in steps):
        raise SnowmeltError(Reason.INVALID_FIELD, "--did is TYPE:ITEM, such as click:42", field="did")
    with connect(target) as client:
        answer = client.recommend(
            user,
            session_id=session,
            session_events=[SessionEvent(type=kind, item_id=item) for kind, _, item in steps],
            k=k,
            categories=category or [],
            exclude_item_ids=exclude or [],
            surface=surface,
            explain=explain,
            timeout_ms=timeout_ms,
        )
    if as_json:
        typer.echo(json.dumps(to_json(answer), ensure_ascii=False))
    else:
        show(answer)
