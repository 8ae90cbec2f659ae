"""Feast's stream feature views -> compiled views, which ``feast apply`` leaves for processes that do not know Feast."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Aggregation, Field, KafkaSource
from feast.types import Array, Bytes, FeastType, Float32, Float64, Int32, Int64

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.aggregations import AGGREGATIONS, Ask, parse
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.user import PROFILE, SEEN, check_users
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.item_content import CONTENT_FEATURE, FIRST_UPSERT_FEATURE
from snowmelt.featurestore.item_replica import CONTENT_VIEW, STATISTICS_VIEW

EVENT_TYPES_TAG = "event_types"
"""Tag of a KafkaSource: the declared event types, comma between; append only, since a place is a code in the state."""

DEFAULT_HOP = timedelta(minutes=5)

_TYPES: dict[str, FeastType] = {
    "float32": Float32,
    "float64": Float64,
    "bytes": Bytes,
    "float64[]": Array(Float64),
    "int64[]": Array(Int64),
    "uint64[]": Array(Int64),  # Feast has no unsigned type: the bits are kept
    "uint8[]": Array(Int32),
}

SERVED: dict[str, dict[str, str]] = {
    PROFILE: {},
    SEEN: {},
    STATISTICS_VIEW: {},
    CONTENT_VIEW: {CONTENT_FEATURE: "bytes", FIRST_UPSERT_FEATURE: "float64"},
}
"""The views that services read by name, and of the items' content what; of users see ``check_users``."""


def schema_of(aggregations: Sequence[Aggregation]) -> list[Field]:
    """The fields of a view whose features are these aggregations, so that a feature is declared in one line.

    Raises:
        SnowmeltError: INVALID_FIELD for a function that does not exist.
    """
    return [Field(name=a.resolved_name(a.time_window), dtype=_TYPES[_dtype(a)]) for a in aggregations]


def compile_stream_views(views: Sequence[Any]) -> CompiledViews:
    """Compiles Feast's StreamFeatureView objects.

    Raises:
        SnowmeltError: INVALID_FIELD naming the view and the feature that cannot be computed or is missing, and why.
    """
    declared = {view.name: _event_types(view) for view in views}
    types = {types for types in declared.values() if types}
    if len(types) != 1:
        raise _refused(
            ", ".join(sorted(declared)),
            f"their sources must carry the same tag {EVENT_TYPES_TAG}, found {sorted(types)}",
        )
    return compile_views(types.pop(), [_spec(view) for view in views])


def write_views(views: CompiledViews, place: Path, *, partial: bool) -> CompiledViews:
    """Writes compiled views where the services read them, and returns what was written.

    Args:
        views: what was applied.
        place: the file; replaced in one step.
        partial: views of the file that were not applied now stay.

    Raises:
        SnowmeltError: INVALID_FIELD where the event types are not those of the file with others appended, or what
            services read is missing.
    """
    if place.exists():
        before = CompiledViews.load(place)
        if views.event_types[: len(before.event_types)] != before.event_types:
            raise _refused(
                EVENT_TYPES_TAG,
                f"is append only: it must begin with {','.join(before.event_types)} (as in {place.name}); state holds "
                "their places as codes",
            )
        if partial:
            kept = {name: replace(view, event_types=views.event_types) for name, view in before.views.items()}
            views = CompiledViews(views.event_types, {**kept, **views.views})
    check_served(views)
    views.dump(place)
    return views


def check_served(views: CompiledViews) -> None:
    """Refuses views without what services read by name.

    Raises:
        SnowmeltError: INVALID_FIELD.
    """
    check_users(views)
    for name, needed in SERVED.items():
        if name not in views.views:
            raise _refused(name, "the services read this view: put it back as it was")
        there = {feature.name: feature.dtype for feature in views.views[name].features}
        if wrong := [f"{feature} ({dtype})" for feature, dtype in needed.items() if there.get(feature) != dtype]:
            raise _refused(name, f"the services read {', '.join(wrong)} of it: put the line back as it was")


def compile_repository(repo: Path) -> CompiledViews:
    """Compiles the stream feature views of a feature repository without applying it.

    Raises:
        SnowmeltError: INVALID_FIELD, as ``compile_stream_views``; NOT_FOUND where there is no feature_store.yaml.
    """
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from feast.repo_operations import parse_repo  # noqa: PLC0415

    if not (repo / "feature_store.yaml").exists():
        raise SnowmeltError(Reason.NOT_FOUND, f"{repo} is no feature repository: it has no feature_store.yaml")
    sys.path.insert(0, str(repo.resolve()))
    os.chdir(repo)
    views = compile_stream_views(parse_repo(repo.resolve()).stream_feature_views)
    check_served(views)
    return views


def _event_types(view: Any) -> tuple[str, ...]:
    source = view.stream_source
    if not isinstance(source, KafkaSource):
        raise _refused(
            view.name,
            f"is fed by a {type(source).__name__}; Snowmelt counts streams from Kafka: give it a KafkaSource, or make "
            "it an ordinary FeatureView",
        )
    return tuple(t.strip() for t in source.tags.get(EVENT_TYPES_TAG, "").split(",") if t.strip())


def _spec(view: Any) -> ViewSpec:
    if len(view.entities) != 1:
        raise _refused(view.name, f"must have one entity, not {view.entities}")
    hop = view.tiling_hop_size or DEFAULT_HOP
    lines = tuple(_declared(view, line, hop) for line in view.aggregations)
    fields = [f.name for f in view.features]
    if sorted(fields) != sorted(line.name for line in lines):
        wrong = sorted(set(fields) ^ {line.name for line in lines})
        raise _refused(
            view.name, f"its schema and its aggregations differ in {wrong}: write schema=schema_of(aggregations)"
        )
    topics = tuple(t.strip() for t in view.stream_source.kafka_options.topic.split(","))
    return ViewSpec(view.name, view.entities[0], topics, _ms(hop), lines)


def _declared(view: Any, line: Aggregation, view_hop: timedelta) -> Declared:
    name = line.resolved_name(line.time_window)
    window = line.time_window
    slide = None if line.slide_interval == window else line.slide_interval
    function, _, _ = parse(line.function, f"{view.name}.{name}")
    if window and AGGREGATIONS[function].WINDOW == "optional" and window % (slide or view_hop):
        raise _refused(
            f"{view.name}.{name}",
            f"its time_window of {window} is no multiple of its hop of {slide or view_hop} (slide_interval, else the "
            "view's tiling_hop_size)",
        )
    return Declared(name, line.column, line.function, _ms(window) if window else None, _ms(slide) if slide else None)


def _dtype(line: Aggregation) -> str:
    name = line.resolved_name(line.time_window)
    function, argument, part = parse(line.function, name)
    return AGGREGATIONS[function].dtype(Ask(name, line.column, argument, part, 0, 0, ()))


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _refused(where: str, what: str) -> SnowmeltError:
    return SnowmeltError(Reason.INVALID_FIELD, f"{where}: {what}", field=where)
