"""Events into the log: once all of a request's are checked, completed by what is known, acknowledged by Kafka."""

import difflib
import uuid
from collections.abc import Iterable, Sequence

import numpy as np

from services.gateway.ports import Log, Record
from snowmelt.api.events.v1.events_pb2 import Event, ItemUpsert
from snowmelt.api.gateway.v1.gateway_pb2 import RecordEventsRequest, RecordEventsResponse, SessionEvent
from snowmelt.contracts.clock import FUTURE_MS, Clock
from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError
from snowmelt.contracts.ids import item_keys, session_entity
from snowmelt.contracts.items import ItemSource
from snowmelt.contracts.topics import EVENTS, IMPRESSION_TYPE
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime import telemetry, validation
from snowmelt.runtime.auth import Caller


class EventRecorder:
    """The use case of RecordEvents."""

    def __init__(self, views: LiveViews, items: ItemSource, log: Log, clock: Clock) -> None:
        self._views, self._items, self._log, self._clock = views, items, log, clock

    async def record(self, request: RecordEventsRequest, caller: Caller) -> RecordEventsResponse:
        """Checks all events, fills in what they lack, and returns when Kafka has acknowledged each.

        Filled in: event_id, event_time_ms (now) and tenant where absent; categories and price from the catalogue.

        Raises:
            SnowmeltError: INVALID_FIELD, UNKNOWN_EVENT_TYPE, PERMISSION_DENIED (another tenant) before anything is
                sent; UNAVAILABLE where Kafka did not acknowledge.
        """
        with telemetry.span("gateway.record_events", events=len(request.events)):
            self._complete(request.events, caller)
            validation.check(request)
            refuse_ahead(request.events, self._clock.now_ms(), "events")
            self._refuse_unknown(request.events)
            enrich(request.events, self._items, caller.tenant)
            await self._log.append(caller.tenant, [_record(event) for event in request.events])
            return RecordEventsResponse(
                accepted=len(request.events),
                event_ids=[event.event_id for event in request.events],
                trace_id=telemetry.trace_id(),
            )

    def _complete(self, events: Sequence[Event], caller: Caller) -> None:
        now = self._clock.now_ms()
        wrong = []
        for i, event in enumerate(events):
            take_tenant(event, caller, f"events[{i}].tenant")
            event.event_id = event.event_id or uuid.uuid4().hex
            event.event_time_ms = event.event_time_ms or now
            if event.categories or event.HasField("price"):
                detail = "is filled in from the catalogue; leave it out"
                wrong.append(FieldViolation(f"events[{i}].{'categories' if event.categories else 'price'}", detail))
        if wrong:
            raise SnowmeltError.of_fields(Reason.INVALID_FIELD, wrong)

    def _refuse_unknown(self, events: Sequence[Event]) -> None:
        types = self._views.current.event_types
        wrong = tuple(
            FieldViolation(f"events[{i}].type", unknown_type(event.type, types))
            for i, event in enumerate(events)
            if event.type not in types or event.type == IMPRESSION_TYPE
        )
        if wrong:
            raise SnowmeltError.of_fields(Reason.UNKNOWN_EVENT_TYPE, wrong)


def enrich(events: Sequence[Event], items: ItemSource, tenant: str) -> None:
    """Fills in each event's categories and price as the catalogue has them now; nothing where it has not the item."""
    rows = items.rows(item_keys(tenant, [event.item_id for event in events]))
    columns = items.columns()
    for event, row in zip(events, rows.tolist(), strict=True):
        if row < 0:
            continue
        event.categories.extend(columns.categories[row])
        if not np.isnan(columns.prices[row]):
            event.price = float(columns.prices[row])


def take_tenant(message: Event | ItemUpsert, caller: Caller, path: str) -> None:
    """Sets the tenant that the token says, on anything that has one.

    Raises:
        SnowmeltError: PERMISSION_DENIED where the body names another.
    """
    if message.tenant and message.tenant != caller.tenant:
        raise SnowmeltError(Reason.PERMISSION_DENIED, "the token is of another tenant; leave tenant out", field=path)
    message.tenant = caller.tenant


def refuse_ahead(messages: Iterable[Event | ItemUpsert | SessionEvent], now_ms: int, path: str) -> None:
    """Refuses what the lanes would not take: a time too far ahead of the clock.

    Raises:
        SnowmeltError: INVALID_FIELD.
    """
    wrong = tuple(
        FieldViolation(
            f"{path}[{i}].event_time_ms",
            f"lies {(message.event_time_ms - now_ms) / 1000} s ahead of the clock here; at most {FUTURE_MS // 1000} s",
        )
        for i, message in enumerate(messages)
        if message.event_time_ms > now_ms + FUTURE_MS
    )
    if wrong:
        raise SnowmeltError.of_fields(Reason.INVALID_FIELD, wrong)


def unknown_type(name: str, types: Sequence[str]) -> str:
    """What to tell who named an event type that is not declared."""
    if name == IMPRESSION_TYPE:
        return "impressions are recorded by the gateway itself, when it answers"
    near = difflib.get_close_matches(name, types, n=1)
    declared = ", ".join(each for each in types if each != IMPRESSION_TYPE)
    hint = f"did you mean {near[0]}?" if near else f"declared are {declared}"
    return f"the event type {name[:32]!r} is not declared; {hint}"


def _record(event: Event) -> Record:
    entity = event.user_id or session_entity(event.session_id)
    return Record(EVENTS, entity, event.SerializeToString())
