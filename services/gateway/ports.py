"""What the gateway needs of others, in its own words. Each may raise SnowmeltError and nothing else."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.user_state import PackedUserState


@dataclass(frozen=True)
class Ask:
    """What retrieval and ranker are told of one request."""

    tenant: str
    release_id: str
    as_of_ms: int
    limit: int
    exclude_item_ids: Sequence[str] = ()
    categories: Sequence[str] = ()
    surface: str = ""
    context: Mapping[str, str] = field(default_factory=dict)
    explain: int = 0


@dataclass(frozen=True)
class Part:
    """What one feature added to a score; ``value`` is NaN where the feature was missing."""

    feature: str
    value: float
    contribution: float


@dataclass(frozen=True)
class Ranking:
    """The ranker's word on n candidates.

    Attributes:
        scores: float32[n], finite.
        explanations: by candidate, for those that were explained.
        stages: how long the ranker's own stages took.
    """

    scores: npt.NDArray[np.float32]
    explanations: Mapping[int, Sequence[Part]]
    stages: Sequence[StageTime]


@dataclass(frozen=True)
class Record:
    """What is to be appended to a topic."""

    topic: str
    entity: str
    value: bytes


class UserStates(Protocol):
    """Where users' states are kept."""

    async def read(self, tenant: str, entity: str) -> PackedUserState:
        """The state of a user or session in one round trip; an empty one where nothing is known."""


class Retrieval(Protocol):
    """Who proposes candidates."""

    async def retrieve(
        self, ask: Ask, user: PackedUserState, timeout_s: float
    ) -> tuple[Candidates, Sequence[StageTime]]:
        """Candidates of the pinned release, best first."""


class Ranker(Protocol):
    """Who scores candidates."""

    async def rank(self, ask: Ask, user: PackedUserState, candidates: Candidates, timeout_s: float) -> Ranking:
        """Scores of the pinned release."""


class Log(Protocol):
    """The log that everything is written to."""

    def submit(self, tenant: str, record: Record) -> "Future[Any]":
        """Hands over one record without waiting; the future holds SnowmeltError UNAVAILABLE where it was lost."""

    async def append(self, tenant: str, records: Sequence[Record]) -> None:
        """Returns when every record is acknowledged; UNAVAILABLE where one is not."""


class Pins(Protocol):
    """Which release a request is pinned to."""

    def pinned(self) -> str:
        """The first release of retrieval's that the ranker has loaded too; else retrieval's first; else empty."""

    def retrieval_answers(self) -> bool:
        """Whether retrieval answered when it was last asked."""
