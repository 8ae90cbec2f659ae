"""What of a slate does not wait for scores: worked out while retrieval and the ranker are at work."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.gateway.reasons import PERSONAL
from services.gateway.request import Request
from snowmelt.blending import Content, History, Rules, eligible
from snowmelt.blending.content import Mask
from snowmelt.blending.reasons import NEAR
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import item_keys
from snowmelt.contracts.items import ItemSource
from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.features.user import finish_user
from snowmelt.features.views import CompiledViews

FEATURES = "features"
"""The stage without which nothing is known of the user."""


@dataclass(frozen=True)
class Catalogue:
    """The items, and the views that name what users do with them."""

    items: ItemSource
    views: CompiledViews


class Draft:
    """Each part is made when it is first asked for, and once: soon by whoever has time, else late."""

    def __init__(self, request: Request, packed: PackedUserState, catalogue: Catalogue) -> None:
        self.request, self.packed, self.catalogue = request, packed, catalogue
        self.candidates = Candidates.empty()

    @cached_property
    def user(self) -> UserState:
        """The user at the instant of the request; nothing is known of one whose state cannot be read."""
        try:
            return finish_user(self.catalogue.views, self.packed, self.request.as_of_ms)
        except SnowmeltError as error:
            self.packed = unreadable(self.request, error)
        return finish_user(self.catalogue.views, self.packed, self.request.as_of_ms)

    @cached_property
    def rules(self) -> Rules:
        """What may not be shown: what was seen and what the caller excludes."""
        asked = self.request.asked
        hidden = np.concatenate((self.user.seen_keys, item_keys(self.request.tenant, asked.exclude_item_ids)))
        return Rules(hidden, frozenset(asked.categories))

    @cached_property
    def history(self) -> History:
        """What reasons are taken from."""
        keys = self.user.recent_keys[:NEAR]
        return History(keys, Content.of(self.catalogue.items, keys), PERSONAL)

    @cached_property
    def content(self) -> Content:
        """Of the candidates, as it is now."""
        return Content.of(self.catalogue.items, self.candidates.keys)

    @cached_property
    def allowed(self) -> Mask:
        """bool[n]: which of the candidates may be shown."""
        return eligible(self.candidates.keys, self.content, self.rules, self.request.as_of_ms)

    def know_the_user(self) -> None:
        """Makes now what needs no candidates."""
        _ = self.rules, self.history

    def know_the_candidates(self) -> None:
        """Makes now what needs no scores."""
        _ = self.allowed, self.history


def unreadable(request: Request, error: SnowmeltError) -> PackedUserState:
    """Somebody unknown instead of a user whose state cannot be read, which the answer says.

    Raises:
        SnowmeltError: the error, where it is another.
    """
    if error.reason is not Reason.FEATURES_MISMATCH:
        raise error
    request.degrade(FEATURES)
    return PackedUserState(request.entity)
