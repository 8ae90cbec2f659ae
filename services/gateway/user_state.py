"""What is known of a user, finished at one instant, in names instead of keys."""

import math

from services.gateway.popularity import Popularity
from services.gateway.ports import UserStates
from snowmelt.api.gateway.v1.gateway_pb2 import GetUserStateRequest, GetUserStateResponse, RecentItem
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import word_keys
from snowmelt.contracts.items import ItemSource
from snowmelt.contracts.user_state import UserState
from snowmelt.features.user import finish_user
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime import telemetry
from snowmelt.runtime.auth import Caller


class UserStateReader:
    """The use case of GetUserState."""

    def __init__(
        self, states: UserStates, views: LiveViews, items: ItemSource, popularity: Popularity, clock: Clock
    ) -> None:
        self._states, self._views, self._items = states, views, items
        self._popularity, self._clock = popularity, clock

    async def read(self, request: GetUserStateRequest, caller: Caller) -> GetUserStateResponse:
        """Finished features and recent items; a user who was never seen is ``known=false``, not an error.

        Raises:
            SnowmeltError: UNAVAILABLE where the online store does not answer; FEATURES_MISMATCH where other views than
                those at hand wrote the state.
        """
        with telemetry.span("gateway.user_state"):
            packed = await self._states.read(caller.tenant, request.user_id)
            as_of_ms = self._clock.now_ms()
            state = finish_user(self._views.current, packed, as_of_ms)
            return GetUserStateResponse(
                user_id=request.user_id,
                as_of_ms=as_of_ms,
                known=packed.known,
                features=self._features(state),
                recent_items=self._recent(state),
                seen_items=len(state.seen_keys),
                trace_id=telemetry.trace_id(),
            )

    def _features(self, state: UserState) -> dict[str, float]:
        features = {f"type_counts.{name}": weight for name, weight in state.type_counts.items()}
        names = tuple(self._popularity.chart.by_category)
        by_key = dict(zip(word_keys(names).tolist(), names, strict=True))
        for key, weight in zip(state.category_keys.tolist(), state.category_weights.tolist(), strict=True):
            features[f"category_affinity.{by_key.get(key, f'#{key:016x}')}"] = weight
        numbers = {"price_level": state.price_level, **state.numbers}
        return features | {name: value for name, value in numbers.items() if not math.isnan(value)}

    def _recent(self, state: UserState) -> list[RecentItem]:
        columns, rows = self._items.columns(), self._items.rows(state.recent_keys)
        types = self._views.current.event_types
        return [
            RecentItem(
                item_id=columns.ids[row] if row >= 0 else f"#{key:016x}", type=types[code], event_time_ms=time_ms
            )
            for key, row, code, time_ms in zip(
                state.recent_keys.tolist(),
                rows.tolist(),
                state.recent_types.tolist(),
                state.recent_times_ms.tolist(),
                strict=True,
            )
        ]
