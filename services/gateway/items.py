"""The catalogue's changes into the log: upserts and withdrawals, sent when all of a request's are checked."""

from collections.abc import Sequence

from services.gateway.ports import Log, Record
from services.gateway.record_events import refuse_ahead, take_tenant
from snowmelt.api.events.v1.events_pb2 import CatalogChange, ItemWithdrawal
from snowmelt.api.gateway.v1.gateway_pb2 import (
    UpsertItemsRequest,
    UpsertItemsResponse,
    WithdrawItemsRequest,
    WithdrawItemsResponse,
)
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import FieldViolation, Reason, SnowmeltError
from snowmelt.contracts.topics import CATALOG
from snowmelt.runtime import telemetry, validation
from snowmelt.runtime.auth import Caller


class ItemEditor:
    """The use cases UpsertItems and WithdrawItems."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock

    async def upsert(self, request: UpsertItemsRequest, caller: Caller) -> UpsertItemsResponse:
        """Adds items or replaces their content; tenant and event_time_ms are filled in, a time after now becomes now.

        Raises:
            SnowmeltError: INVALID_FIELD (an item twice among others), PERMISSION_DENIED; UNAVAILABLE where Kafka did
                not acknowledge.
        """
        with telemetry.span("gateway.upsert_items", items=len(request.items)):
            now = self._clock.now_ms()
            for i, item in enumerate(request.items):
                take_tenant(item, caller, f"items[{i}].tenant")
                item.event_time_ms = item.event_time_ms or now
            validation.check(request)
            refuse_ahead(request.items, now, "items")
            for item in request.items:
                # By no clock but the one here, which stamps withdrawals: else a fast one would outlive them.
                item.event_time_ms = min(item.event_time_ms, now)
            names = [item.item_id for item in request.items]
            _refuse_twice(names, "items[{}].item_id")
            changes = [(item.item_id, CatalogChange(upsert=item)) for item in request.items]
            await self._append(caller, changes)
            return UpsertItemsResponse(accepted=len(changes), trace_id=telemetry.trace_id())

    async def withdraw(self, request: WithdrawItemsRequest, caller: Caller) -> WithdrawItemsResponse:
        """Takes items out of every slate; an item that is not known is withdrawn all the same.

        Raises:
            SnowmeltError: INVALID_FIELD; UNAVAILABLE where Kafka did not acknowledge.
        """
        with telemetry.span("gateway.withdraw_items", items=len(request.item_ids)):
            _refuse_twice(request.item_ids, "item_ids[{}]")
            now = self._clock.now_ms()
            changes = [
                (item, CatalogChange(withdrawal=ItemWithdrawal(tenant=caller.tenant, item_id=item, event_time_ms=now)))
                for item in request.item_ids
            ]
            await self._append(caller, changes)
            return WithdrawItemsResponse(accepted=len(changes), trace_id=telemetry.trace_id())

    async def _append(self, caller: Caller, changes: Sequence[tuple[str, CatalogChange]]) -> None:
        records = [Record(CATALOG, item, change.SerializeToString()) for item, change in changes]
        await self._log.append(caller.tenant, records)


def _refuse_twice(names: Sequence[str], path: str) -> None:
    first: dict[str, int] = {}
    again = [(i, name) for i, name in enumerate(names) if first.setdefault(name, i) != i]
    if again:
        detail = "the item stands twice in the request"
        wrong = tuple(FieldViolation(path.format(i), detail) for i, _ in again)
        raise SnowmeltError.of_fields(Reason.INVALID_FIELD, wrong)
