"""What is noted of one recommendation on its way through the stages."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.gateway.ports import Ask
from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest
from snowmelt.contracts.candidates import StageTime
from snowmelt.contracts.ids import session_entity
from snowmelt.runtime import deadline, metrics, stages, telemetry

K_DEFAULT = 20


@dataclass
class Request:
    """One request: what was asked, by when it must be answered, and what became of its stages."""

    asked: RecommendRequest
    tenant: str
    as_of_ms: int
    budget_ms: int
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    degraded: list[str] = field(default_factory=list)
    stages: list[StageTime] = field(default_factory=list)

    def __post_init__(self) -> None:
        wanted_s = (self.asked.timeout_ms if self.asked.HasField("timeout_ms") else self.budget_ms) / 1000
        self._ends_at = time.monotonic() + min(wanted_s, deadline.remaining_s())

    @property
    def entity(self) -> str:
        """Whose state is read."""
        return self.asked.user_id or session_entity(self.asked.session_id)

    @property
    def k(self) -> int:
        """How many items are asked for."""
        return self.asked.k if self.asked.HasField("k") else K_DEFAULT

    def left_s(self) -> float:
        """What is left of the budget, seconds."""
        return max(0.0, self._ends_at - time.monotonic())

    def ask(self, release_id: str, limit: int, explain: int) -> Ask:
        """The request as retrieval and ranker are told of it."""
        return Ask(
            self.tenant,
            release_id,
            self.as_of_ms,
            limit,
            self.asked.exclude_item_ids,
            self.asked.categories,
            self.asked.surface,
            self.asked.context,
            explain,
        )

    def degrade(self, stage: str) -> None:
        """Notes that the answer comes without a stage."""
        if stage not in self.degraded:
            self.degraded.append(stage)
            metrics.DEGRADED.labels(stage).inc()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A span, a time in the answer and an observation of the metric, all of one name; an error where it raises."""
        started = time.perf_counter()
        with telemetry.span(f"gateway.{name}"), stages.counted(f"gateway.{name}"):
            yield
        seconds = time.perf_counter() - started
        self.stages.append(StageTime(name, seconds * 1000))
        stages.observe(f"gateway.{name}", seconds)
