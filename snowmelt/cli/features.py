"""``snowmelt features``: what is compiled, with windows, state sections and hashes; compiling without applying."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.aggregations import Feature
from snowmelt.features.sections import Section
from snowmelt.features.views import CompiledView, CompiledViews
from snowmelt.runtime.config import Settings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="List, show, compile the features")

Json = Annotated[bool, typer.Option("--json", help="One JSON document")]

_UNITS = (("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", 1000))


@app.command("list")
def list_features(as_json: Json = False) -> None:
    """Every compiled feature with its window and the sections of state that it reads."""
    _print(CompiledViews.load(Settings.load().views_path), as_json)


@app.command("compile")
def compile_features(
    repo: Annotated[Path, typer.Option(help="The feature repository")] = Path("feature_repo"),
    output: Annotated[Path | None, typer.Option(help="Also write the compiled views here")] = None,
    as_json: Json = False,
) -> None:
    """Compiles a feature repository without applying it: says at once what of it cannot be computed."""
    from snowmelt.featurestore.feast_compile import compile_repository

    place = output.resolve() if output else None
    views = compile_repository(repo)
    if place:
        views.dump(place)
    _print(views, as_json)


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="A feature or a view")], as_json: Json = False) -> None:
    """One feature, or one view with its sections."""
    views = CompiledViews.load(Settings.load().views_path)
    found = [_feature(view, f) for view in views.views.values() for f in view.features if name in (f.name, view.name)]
    if not found:
        raise SnowmeltError(Reason.NOT_FOUND, f"there is no feature or view {name}: see `snowmelt features list`")
    if as_json:
        _write(json.dumps(found, indent=1))
        return
    for feature in found:
        _write("\n".join(f"{key:<9} {_plain(value)}" for key, value in feature.items()) + "\n")


def _print(views: CompiledViews, as_json: bool) -> None:
    features = [_feature(view, feature) for view in views.views.values() for feature in view.features]
    if as_json:
        hashes = {view.name: view.hash for view in views.views.values()}
        document = {"hash": views.hash, "event_types": views.event_types, "views": hashes, "features": features}
        _write(json.dumps(document, indent=1))
        return
    _write(f"{'view':<14} {'feature':<24} {'function':<24} {'column':<12} {'window':<8} state")
    for f in features:
        _write(
            f"{f['view']:<14} {f['feature']:<24} {f['function']:<24} {f['column']:<12} {f['window'] or 'always':<8} "
            f"{'; '.join(f['state'])}"
        )
    for view in views.views.values():
        _write(f"{view.name}: {len(view.features)} features, {len(view.sections)} sections, hash {view.hash[:12]}")
    _write(f"all: hash {views.hash[:12]}")


def _feature(view: CompiledView, feature: Feature) -> dict[str, Any]:
    return {
        "feature": feature.name,
        "view": view.name,
        "entity": view.entity,
        "topics": list(view.topics),
        "function": feature.function + (f".{feature.part}" if feature.part else ""),
        "column": feature.column,
        "window": _duration(feature.window_ms),
        "dtype": feature.dtype,
        "state": [_section(view.sections[place]) for place in feature.sections],
        "hash": view.hash,
    }


def _section(section: Section) -> str:
    details = {
        "hop": _duration(section.hop_ms),
        "keeps": f"{section.keep_tiles} tiles" if section.keep_tiles else "",
        "half-life": _duration(section.half_life_ms),
        "newest": str(section.limit or ""),
    }
    said = ", ".join(f"{key} {value}" for key, value in details.items() if value)
    return f"{section.kind} of {section.column}" + (f" ({said})" if said else "")


def _duration(milliseconds: int) -> str:
    for unit, size in _UNITS:
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else ""


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "-")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
