"""``snowmelt releases``: list, activate, roll back; on the folder itself, so that it works without the gateway."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snowmelt.releases import Active, Listed, ReleaseStore

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document")]
Generation = Annotated[int | None, typer.Option(help="fail where somebody else activated a release since; see list")]


@app.command("list")
def list_releases(as_json: AsJson = False) -> None:
    """Every release, newest first, with the figures of its evaluation."""
    store = _store()
    active, listed = store.active(), store.list()
    if as_json:
        document = {"generation": active.generation, "releases": [_document(one) for one in listed]}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    if not listed:
        typer.echo("there is no release yet: snowmelt train")
    for one in listed:
        mark = "*" if one.active else " "
        typer.echo(f"{mark} {one.release_id}  {_summary(one)}")
    typer.echo(f"generation {active.generation}")


@app.command("activate")
def activate(
    release_id: Annotated[str, typer.Argument(help="the release's id, as list shows it")],
    generation: Generation = None,
    as_json: AsJson = False,
) -> None:
    """Verifies a release and makes it the active one; the services load it within a second or two."""
    _say(_store().activate(release_id, generation), as_json)


@app.command("rollback")
def rollback(generation: Generation = None, as_json: AsJson = False) -> None:
    """Goes back to the release that was active before."""
    _say(_store().rollback(generation), as_json)


def _store() -> "ReleaseStore":
    from snowmelt.releases import ReleaseStore
    from snowmelt.runtime.config import Settings

    return ReleaseStore(Settings.load().releases_url)


def _say(active: "Active", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(active)))
    else:
        typer.echo(f"{active.release_id} is active, generation {active.generation}; before it {active.previous}")


def _document(one: "Listed") -> dict[str, object]:
    origin = asdict(one.manifest.origin) if one.manifest else {}
    return {"release_id": one.release_id, "active": one.active, "fault": one.fault, **origin}


def _summary(one: "Listed") -> str:
    if one.manifest is None:
        return f"cannot be read: {one.fault}"
    moment = datetime.fromtimestamp(one.manifest.origin.created_at_ms / 1000, UTC)
    figures = "  ".join(f"{name} {value:.4f}" for name, value in sorted(one.manifest.origin.metrics.items()))
    return f"{moment:%Y-%m-%d %H:%M}  {figures}"
