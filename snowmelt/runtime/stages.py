"""The stages of work that is done, where operators look: a span and an observation of the metric each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def counted(name: str) -> Iterator[None]:
    """Counts a block that raises as an error of the stage."""
    try:
        yield
    except Exception:
        metrics.STAGE_ERRORS.labels(name).inc()
        raise


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Observes how long the block takes; one that raises counts as an error of the stage, too."""
    began = time.perf_counter()
    try:
        with counted(name):
            yield
    finally:
        observe(name, time.perf_counter() - began)


@cache
def _histogram(stage: str) -> Histogram:
    return metrics.STAGE_SECONDS.labels(stage)
