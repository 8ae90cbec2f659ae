"""An anonymous session's steps, laid over what is stored of it, for this one answer."""

from services.gateway.record_events import enrich, refuse_ahead, unknown_type
from services.gateway.request import Request
from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError
from snowmelt.contracts.items import ItemSource
from snowmelt.contracts.topics import IMPRESSION_TYPE
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.user import with_events
from snowmelt.features.views import CompiledViews


def fold_session(request: Request, packed: PackedUserState, views: CompiledViews, items: ItemSource) -> PackedUserState:
    """The state as if the session's events had been recorded; the same value where there are none.

    Raises:
        SnowmeltError: UNKNOWN_EVENT_TYPE; INVALID_FIELD for a time too far ahead of the clock.
    """
    steps = request.asked.session_events
    if not steps:
        return packed
    wrong = tuple(
        FieldViolation(f"session_events[{i}].type", unknown_type(step.type, views.event_types))
        for i, step in enumerate(steps)
        if step.type not in views.event_types or step.type == IMPRESSION_TYPE
    )
    if wrong:
        raise SnowmeltError.of_fields(Reason.UNKNOWN_EVENT_TYPE, wrong)
    refuse_ahead(steps, request.as_of_ms, "session_events")
    first_ms = request.as_of_ms - (len(steps) - 1)
    events = [
        Event(
            tenant=request.tenant,
            user_id=request.asked.user_id,
            session_id=request.asked.session_id,
            item_id=step.item_id,
            type=step.type,
            # Not after the answer's instant: what lies beyond it counts as neither recent nor seen.
            event_time_ms=min(step.event_time_ms, request.as_of_ms) if step.HasField("event_time_ms") else first_ms + i,
        )
        for i, step in enumerate(steps)
    ]
    enrich(events, items, request.tenant)
    return with_events(views, packed, events)
