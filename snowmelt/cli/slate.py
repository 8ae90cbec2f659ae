"""A slate on a terminal, readable at 80 columns."""

from rich.console import Console
from rich.text import Text

from snowmelt.api.gateway.v1.gateway_pb2 import RecommendResponse, SlateItem

PARTS_SHOWN = 5


def show(answer: RecommendResponse) -> None:
    """Prints the slate: place, title and id; below them why and from where; below those what the score is made of."""
    console = Console(highlight=False, soft_wrap=True)
    for line in lines(answer, console.width):
        console.print(line)


def lines(answer: RecommendResponse, width: int) -> list[Text]:
    """The lines of a slate, none longer than ``width``."""
    shown = [_fit(Text(f"{_about(answer)}"), width)]
    for item in answer.items:
        shown += [_fit(line, width) for line in _item(item)]
    if answer.reason:
        said = {"no_items": "the catalogue is empty", "all_filtered": "nothing else passes the filters"}
        shown.append(Text(f"   {said.get(answer.reason, answer.reason)} ({answer.reason})", style="yellow"))
    shown.append(_fit(Text(f"request {answer.request_id}", style="dim"), width))
    shown.append(_fit(Text(f"trace   {answer.trace_id}   (snowmelt trace ID shows it)", style="dim"), width))
    return shown


def _about(answer: RecommendResponse) -> str:
    release = answer.release_id or "no release"
    parts = [f"{len(answer.items)} items", answer.rung.replace("_", " "), release]
    if answer.cold_start:
        parts.append("new user")
    if answer.degraded:
        parts.append("degraded: " + ", ".join(answer.degraded))
    return " · ".join(parts)


def _item(item: SlateItem) -> list[Text]:
    head = Text(f"{item.position + 1:>3} ")
    head.append(item.title or item.item_id, style="bold")
    head.append(f"  [{item.item_id}]  {item.score:.3f}", style="dim")
    sources = ", ".join(f"{hit.source} #{hit.rank}" for hit in item.sources)
    found = [head, Text(f"    {item.reason}"), Text(f"    {sources}", style="dim")]
    parts = sorted(item.contributions, key=lambda part: -abs(part.contribution))[:PARTS_SHOWN]
    for part in parts:
        value = f"{part.value:.4g}" if part.HasField("value") else "absent"
        found.append(Text(f"      {part.contribution:+.3f}  {part.feature} = {value}", style="cyan"))
    return found


def _fit(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
