"""``snowmelt trace``: the waterfall of one trace, as the embedded collector kept it."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.embedded.collector import Span, SpanStore
from snowmelt.embedded.home import Home
from snowmelt.runtime.config import Settings

_NAME_WIDTH = 44
_COLORS = ("cyan", "green", "magenta", "yellow", "blue", "red")


def trace(
    trace_id: Annotated[str, typer.Argument(help="32 hex digits, as an answer gives it")],
    as_json: Annotated[bool, typer.Option("--json", help="the spans as JSON")] = False,
) -> None:
    """Prints who called whom and how long each step took."""
    home = Home(Settings.load().state_dir)
    store = SpanStore(home.spans) if home.spans.exists() else None
    spans = store.trace(trace_id.lower()) if store else []
    if not spans:
        raise SnowmeltError(
            Reason.NOT_FOUND,
            f"no span of trace {trace_id} is kept; the embedded mode keeps the last 10,000, "
            "elsewhere look where OTEL_EXPORTER_OTLP_ENDPOINT sends them",
        )
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in spans]))
        return
    console = Console(highlight=False)
    for line in waterfall(spans, console.width):
        console.print(line, no_wrap=True, overflow="crop")


def waterfall(spans: list[Span], width: int) -> list[Text]:
    """One line a span, children indented under their parents: service, name, duration, and a bar on one time axis."""
    start = min(s.start_ns for s in spans)
    total = max(max(s.end_ns for s in spans) - start, 1)
    services = {s: _COLORS[i % len(_COLORS)] for i, s in enumerate(dict.fromkeys(s.service for s in spans))}
    bar_width = max(width - _NAME_WIDTH - 13, 10)
    lines = [Text(f"trace {spans[0].trace_id}  {len(spans)} spans  {total / 1e6:.2f} ms")]
    for depth, span in _in_order(spans):
        name = f"{'  ' * depth}{span.service} {span.name}"
        left = int((span.start_ns - start) / total * bar_width)
        length = max(1, round((span.end_ns - span.start_ns) / total * bar_width))
        line = Text(name[:_NAME_WIDTH].ljust(_NAME_WIDTH), style=services[span.service])
        line.append(f"{(span.end_ns - span.start_ns) / 1e6:9.2f} ms ", style="bold red" if span.failed else "")
        line.append(" " * min(left, bar_width - 1) + "█" * min(length, bar_width - min(left, bar_width - 1)))
        lines.append(line)
    return lines


def _in_order(spans: list[Span]) -> list[tuple[int, Span]]:
    known = {s.span_id for s in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    out: list[tuple[int, Span]] = []

    def walk(parent: str, depth: int) -> None:
        for span in children.get(parent, []):
            out.append((depth, span))
            walk(span.span_id, depth + 1)

    walk("", 0)
    return out
