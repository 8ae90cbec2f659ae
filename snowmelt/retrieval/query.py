"""What is asked of retrieval: candidates for one user at one instant."""

from dataclasses import dataclass, field

import numpy as np

from snowmelt.contracts.ids import DEFAULT_TENANT, Keys
from snowmelt.contracts.user_state import UserState


def _no_keys() -> Keys:
    return np.empty(0, np.uint64)


@dataclass(frozen=True)
class RetrievalQuery:
    """One question.

    Attributes:
        user: the user's state finished at ``as_of_ms``; empty where the user is new.
        limit: at most so many candidates, 1 to 10,000.
        exclude_keys: uint64[e], item keys that may not be proposed.
        category_keys: uint64[c], ``word_key`` of the categories that items must have one of; empty: all.
        include_seen: whether items that the user has seen may be proposed.
    """

    user: UserState
    limit: int
    as_of_ms: int
    exclude_keys: Keys = field(default_factory=_no_keys)
    category_keys: Keys = field(default_factory=_no_keys)
    include_seen: bool = False
    tenant: str = DEFAULT_TENANT
