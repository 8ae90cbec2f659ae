"""Plain declarations -> compiled views; what reads Feast's objects calls this, and so do tests without Feast."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import FEATURE_TOPICS, IMPRESSION_TYPE
from snowmelt.features.aggregations import AGGREGATIONS, Ask, Feature, parse
from snowmelt.features.columns import refuse_unknown
from snowmelt.features.sections import Section
from snowmelt.features.views import CompiledView, CompiledViews

ENTITIES = ("user", "item")
MAX_TYPES = 256


@dataclass(frozen=True)
class Declared:
    """One line of a view, as Feast's ``Aggregation`` says it.

    Attributes:
        window_ms: None for a lifetime.
        slide_ms: the hop; None, or the window itself (Feast's own default), for the view's.
    """

    name: str
    column: str
    function: str
    window_ms: int | None = None
    slide_ms: int | None = None


@dataclass(frozen=True)
class ViewSpec:
    """One view as it is declared; ``hop_ms`` is Feast's ``tiling_hop_size``."""

    name: str
    entity: str
    topics: Sequence[str]
    hop_ms: int
    aggregations: Sequence[Declared] = field(default_factory=tuple)


def compile_views(event_types: Sequence[str], specs: Sequence[ViewSpec]) -> CompiledViews:
    """Compiles declared views.

    Raises:
        SnowmeltError: INVALID_FIELD for an unknown function, column, topic or entity (with the nearest name), a window
            that the function cannot have, or a name that comes twice.
    """
    types = tuple(event_types)
    if len(set(types)) != len(types) or len(types) > MAX_TYPES:
        raise _refused("event_types", f"must be at most {MAX_TYPES} different names")
    if IMPRESSION_TYPE not in types:
        raise _refused("event_types", f"must hold {IMPRESSION_TYPE!r}, under which slates are counted")
    views: dict[str, CompiledView] = {}
    for spec in specs:
        if spec.name in views:
            raise _refused(spec.name, "is declared twice")
        views[spec.name] = _compile(spec, types)
    return CompiledViews(types, views)


def _compile(spec: ViewSpec, types: tuple[str, ...]) -> CompiledView:
    refuse_unknown(spec.entity, ENTITIES, f"{spec.name}: entity")
    for topic in spec.topics:
        refuse_unknown(topic, FEATURE_TOPICS, f"{spec.name}: topic")
    if not spec.topics or not spec.aggregations:
        raise _refused(spec.name, "needs at least one topic and one aggregation")
    planned: list[tuple[Declared, Ask, str, tuple[Section, ...]]] = []
    for line in spec.aggregations:
        if any(line.name == other.name for other, _, _, _ in planned):
            raise _refused(f"{spec.name}.{line.name}", "is declared twice")
        ask, function = _ask(spec, line, types)
        planned.append((line, ask, function, AGGREGATIONS[function].sections(ask)))
    kept: dict[Section, int] = {}
    for _, _, _, needed in planned:
        for section in needed:
            bare = replace(section, keep_tiles=0)
            kept[bare] = max(kept.get(bare, 0), section.keep_tiles)
    order = sorted(kept, key=lambda s: s.order)
    features = tuple(
        Feature(
            line.name,
            function,
            ask.column,
            ask.part,
            tuple(order.index(replace(s, keep_tiles=0)) for s in needed),
            ask.window_ms,
            AGGREGATIONS[function].dtype(ask),
        )
        for line, ask, function, needed in planned
    )
    sections = tuple(replace(s, keep_tiles=kept[s]) for s in order)
    return CompiledView(spec.name, spec.entity, tuple(spec.topics), sections, features, types)


def _ask(spec: ViewSpec, line: Declared, types: tuple[str, ...]) -> tuple[Ask, str]:
    where = f"{spec.name}.{line.name}"
    if not line.name.isidentifier():
        raise _refused(where, "a feature's name is letters, digits and underscores, and does not begin with a digit")
    function, argument, part = parse(line.function, where)
    aggregation = AGGREGATIONS[function]
    refuse_unknown(part, aggregation.PARTS, f"{where}: part of {function}")
    refuse_unknown(line.column, aggregation.columns(types), f"{where}: column of {function}")
    if bool(argument) != aggregation.ARGUMENT:
        raise _refused(where, f"{function} takes {'a number, as in' if aggregation.ARGUMENT else 'no'} (N)")
    window = line.window_ms or 0
    if window < 0 or (window > 0) < (aggregation.WINDOW == "required") or (window > 0) > (aggregation.WINDOW != "none"):
        raise _refused(where, f"time_window is {aggregation.WINDOW} for {function}, got {line.window_ms} ms")
    hop = spec.hop_ms if line.slide_ms in (None, line.window_ms) else line.slide_ms
    if hop is None or hop <= 0 or (window and aggregation.WINDOW == "optional" and hop > window):
        raise _refused(where, f"slide_interval (or the view's tiling_hop_size) of {hop} ms does not fit in the window")
    return Ask(where, line.column, argument, part, window, hop, types), function


def _refused(where: str, what: str) -> SnowmeltError:
    return SnowmeltError(Reason.INVALID_FIELD, f"{where}: {what}", field=where)
