"""Blending: scored candidates in, the places of a slate out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.blending.content import Content, Mask
from snowmelt.blending.diversity import Diversity, select
from snowmelt.blending.reasons import History, Reason, reasons
from snowmelt.blending.rules import Rules, eligible
from snowmelt.contracts.candidates import Candidates

NOT_DRAWN = 1.0
"""The propensity of a place that no chance decided."""


@dataclass(frozen=True)
class Place:
    """One place of a slate: which candidate, and why; ``propensity`` is how probably it was shown there."""

    row: int
    reason: Reason
    propensity: float = NOT_DRAWN


def blend(
    candidates: Candidates,
    scores: npt.NDArray[np.float32] | None,
    k: int,
    *,
    content: Content,
    as_of_ms: int,
    rules: Rules | None = None,
    diversity: Diversity | None = None,
    history: History | None = None,
) -> list[Place]:
    """At most k places, best first; the same input gives the same slate.

    Args:
        scores: float32[n], greater is better; None keeps the candidates' own order, which is retrieval's.
        content: of the candidates.
    """
    allowed = eligible(candidates.keys, content, rules or Rules(), as_of_ms)
    return arrange(candidates, scores, k, content=content, allowed=allowed, diversity=diversity, history=history)


def arrange(
    candidates: Candidates,
    scores: npt.NDArray[np.float32] | None,
    k: int,
    *,
    content: Content,
    allowed: Mask,
    diversity: Diversity | None = None,
    history: History | None = None,
) -> list[Place]:
    """``blend`` for who knows already what is ``eligible``: that needs no scores."""
    if scores is None:
        scores = -np.arange(len(candidates), dtype=np.float32)
    rows = select(scores, allowed, content, k, diversity or Diversity()).tolist()
    why = reasons(candidates, rows, content, history)
    return [Place(row, reason) for row, reason in zip(rows, why, strict=True)]
