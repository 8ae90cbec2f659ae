"""A user's packed state -> what algorithms read; and an anonymous session's steps -> packed state."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import Keys
from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.features.rows import Rows
from snowmelt.features.single import SingleReading
from snowmelt.features.state import mismatch
from snowmelt.features.views import CompiledView, CompiledViews

PROFILE = "user_profile"
SEEN = "user_seen"
_READ = {
    PROFILE: {
        "recent_items": "uint64[]",
        "recent_items_times": "int64[]",
        "recent_items_types": "uint8[]",
        "type_counts": "float64[]",
        "type_counts_keys": "uint64[]",
        "category_affinity": "float64[]",
        "category_affinity_keys": "uint64[]",
        "price_level": "float32",
    },
    SEEN: {"seen_items": "uint64[]"},
}
"""What algorithms read of each view by name, and as what."""


def check_users(views: CompiledViews) -> None:
    """Refuses views that lack what retrieval, ranker and gateway read of users; views that are not there pass.

    Raises:
        SnowmeltError: INVALID_FIELD.
    """
    for name, needed in _READ.items():
        if name not in views.views:
            continue
        there = {feature.name: feature.dtype for feature in views.views[name].features}
        if wrong := [f"{feature} ({dtype})" for feature, dtype in needed.items() if there.get(feature) != dtype]:
            detail = f"{name}: retrieval and the ranker read {', '.join(wrong)} of it: put the line back as it was"
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field=name)


def user_numbers(views: CompiledViews) -> tuple[str, ...]:
    """The features of user_profile that are one number and that no algorithm knows by name, sorted."""
    return tuple(name for name in views.views[PROFILE].scalars if name not in _READ[PROFILE])


def finish_user(views: CompiledViews, packed: PackedUserState, as_of_ms: int) -> UserState:
    """The user's state at one instant, out of the views user_profile and user_seen.

    Raises:
        SnowmeltError: FEATURES_MISMATCH where other compiled views wrote the state.
    """
    _check(views, packed)
    profile = _read(views.views[PROFILE], packed.profile, as_of_ms, (*_READ[PROFILE], *user_numbers(views)))
    seen = _read(views.views[SEEN], packed.seen, as_of_ms, tuple(_READ[SEEN]))["seen_items"]
    return user_of(views, profile, seen)


def user_of(views: CompiledViews, profile: Mapping[str, Any], seen: Keys) -> UserState:
    """A user's state out of one user's finished features of user_profile, by name, and of user_seen, uint64[s].

    Raises:
        SnowmeltError: FEATURES_MISMATCH where the state names an event type that is not declared.
    """
    types = (profile["recent_items_types"], profile["type_counts_keys"])
    if any(len(codes) and codes.max() >= len(views.event_types) for codes in types):
        raise mismatch()
    codes, weights = profile["type_counts_keys"].tolist(), profile["type_counts"].tolist()
    return UserState(
        recent_keys=profile["recent_items"],
        recent_times_ms=profile["recent_items_times"],
        recent_types=profile["recent_items_types"],
        seen_keys=seen,
        type_counts={views.event_types[code]: weight for code, weight in zip(codes, weights, strict=True)},
        category_keys=profile["category_affinity_keys"],
        category_weights=profile["category_affinity"],
        price_level=float(profile["price_level"]),
        numbers={name: float(profile[name]) for name in user_numbers(views)},
    )


def _read(view: CompiledView, state: bytes, as_of_ms: int, names: tuple[str, ...]) -> dict[str, Any]:
    reading = SingleReading(view.plan(names), state, as_of_ms)
    return {name: values[0] for name, values in view.values(reading, names).items()}


def with_events(views: CompiledViews, packed: PackedUserState, events: Sequence[events_pb2.Event]) -> PackedUserState:
    """The state as if these events of the user or session had been applied too; nothing is written anywhere.

    The events need tenant, actor, item, type and time; categories and price as the catalogue has them.

    Raises:
        SnowmeltError: FEATURES_MISMATCH; UNKNOWN_EVENT_TYPE.
    """
    _check(views, packed)
    if not events:
        return packed
    rows = Rows.from_events(events, views)
    merged = {}
    for name, state in ((PROFILE, packed.profile), (SEEN, packed.seen)):
        view = views.views[name]
        for delta in view.fold(rows).states:
            state = view.merge(state, delta)  # noqa: PLW2901 - each actor's delta goes on top
        merged[name] = state
    return replace(packed, profile=merged[PROFILE], seen=merged[SEEN], views_hash=views.hash)


def _check(views: CompiledViews, packed: PackedUserState) -> None:
    if packed.views_hash and packed.views_hash != views.hash:
        raise SnowmeltError(
            Reason.FEATURES_MISMATCH,
            f"the user's state is of the compiled views {packed.views_hash[:12]}, here they are {views.hash[:12]}",
        )
