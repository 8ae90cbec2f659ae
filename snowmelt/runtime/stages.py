"""The stages of work that is done, where operators look: a span and an observation of the metric each."""

from collections.abc import Sequence
from functools import cache

from prometheus_client import Histogram

from snowmelt.contracts.candidates import StageTime
from snowmelt.runtime import metrics, spans


def report(stages: Sequence[StageTime]) -> None:
    """Says how long each stage took; the work has just ended, and its stages followed one another."""
    spans.note(stages)
    for stage in stages:
        observe(stage.name, stage.duration_ms / 1000)


def observe(name: str, seconds: float) -> None:
    """Adds one duration of a stage to the metric."""
    _histogram(name).observe(seconds)


@cache
def _histogram(stage: str) -> Histogram:
    return metrics.STAGE_SECONDS.labels(stage)
